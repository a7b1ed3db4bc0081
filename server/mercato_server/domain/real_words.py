"""English words for things that shops sell, or that are one or two letters away from such a word.

A buyer who types one of them means it: in a shop without sofas, `sofa` is no misspelled `soft`, and an empty page is right.
"""

from mercato_server.domain.words import stem

_WORDS = """
ant ape art axe bag ball band bank bar barn base basin basket bat bath beach bead beam bean bear beard bed bee beef beer beet bell belt
bench berry bib bike bill bin bird bit blade blanket blazer blend blender blind block blouse blue boar board boat bolt bomb bond bone book
boot bottle bow bowl box boy bra bracelet brain brake branch brass bread brick bride bridge broom brown brush bucket buckle bug bulb bull
bun bus bush butter button cabin cable cage cake calf camel camera camp can candle candy cane canoe cap cape car card care carpet carrot
cart case cash cat cave cell cello cement chain chair chalk charm chart cheese cherry chess chest chicken chili chin chip church cider
cigar city clam clamp class claw clay clip clock cloth cloud clove club coach coal coast coat cocoa cod code coffee coin cola cold comb
comic cook cookie cool copper copy coral cord cork corn cot cotton couch court cover cow crab cradle craft crane crate crayon cream crib
cross crown cry cube cuff cup curl curry curtain cushion cut dart date deck deer desk dial diary dice diet dip dish disk dock dog doll
dollar dome door dot dough dove drain draw dress drill drink drip drone drum duck dust duvet dye eagle ear earring earth easel edge eel
egg elbow engine eraser face fan farm fat faucet feast feather felt fence fern fig file film fin finger fire fish flag flame flask flat
fleece float flood floor flour flower flute foam foil fold food foot fork form fox frame freezer frog fruit fuel fur fuse game garage
garden garlic gas gate gear gel gem ghost gift ginger girl glass globe glove glue goat gold golf goose gown grain grape grass gravel gravy
green grey grill grip guard guide guitar gum gun gut hair ham hammer hand hanger harp hat hawk hay head heart heat hedge heel helmet hen
herb hip hive hoe honey hood hook hoop horn horse hose hotel house ice icon ink iron island ivory jacket jam jar jaw jean jelly jet jewel
jigsaw jug juice kale kayak kettle key keyboard kilt king kit kitchen kite kitten knee knife knit knob knot label lace ladder lady lake
lamb lamp lap laptop laser latch lawn lead leaf leash leather leek leg lemon lens letter lid light lily lime line linen lion lip list
liver lizard loaf lock log loom loop lotion lounge love lunch lung magic magnet mail map maple marble marker mask mat match mattress meal
meat medal melon men menu mesh metal mice milk mill mint mirror mitten mixer model mole money monkey moon mop motor mouse mouth mud mug
mule muscle music nail napkin neck necklace needle nest net night noodle nose note novel nurse nut nylon oak oar oat ocean oil olive onion
opera orange orchid organ otter oven owl pack pad paddle page pail paint palm pan panda pants paper park parrot party pasta paste patch
path pea peach peanut pear pearl pedal peel peg pen pencil pepper perfume pet petal phone photo piano pickle pie pig pill pillow pin pine
pink pipe pizza plan plane plant plaster plate play pliers plug plum pocket poem pole polish pond pony pool pork port post poster pot
potato pottery powder press print printer prune pudding pulp pump pumpkin puppet puppy purse puzzle quilt rabbit race rack radio rag rail
rain rake ram rat razor red reef remote rent ribbon rice ring river road rob robe robot rock rod roll roof room root rope rose rub rubber
rug ruler rum rust rye sack saddle safe sail salad salmon salt sand sandal sauce saw scale scarf school scissors scooter screen screw seal
seat seed shade shampoo shark shaver shawl shed sheep sheet shelf shell ship shirt shoe shop shovel shower shrimp silk silver sink siren
skate skin skirt sky slate sled sleeve slide slipper smoke snack snail snake snow soap soccer sock soda sofa soil sole soup spade spice
spider spike spinach sponge spoon spray spring squash stain stair stamp stand star steak steel stem stereo stick stone stool stove strap
straw string stroller sugar suit sun swan sweater swing sword syrup table tablet tail tan tank tap tape tart tea team teddy television
tent test thread thumb tie tiger tile tin tire toast toaster toe toilet tomato tongue tool tooth top torch towel tower toy track tractor
trailer train tray tree truck trumpet trunk tub tube tulip tuna turkey turtle twig umbrella urn vacuum van vase veil velvet vest vial vine
vinyl violin vise vodka wagon waist wall wallet walnut watch water wax web wedding wheel whip whisk whistle white wig window wine wing
wire wok wolf wood wool worm wrap wreath wrench wrist yacht yard yarn yellow yoga yogurt zebra zinc zip zipper
"""
_STEMS = frozenset(map(stem, _WORDS.split()))


def is_real(word: str) -> bool:
    """Return whether a folded word is one of them, in the singular or the plural."""
    return stem(word) in _STEMS
