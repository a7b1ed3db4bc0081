"""SQL that corrupts the pictures of a shop, for support/corruptions.py."""

_PICTURE = """
INSERT INTO pictures (digest, widths, heights, unused_at) VALUES (sha256('a'), '{1,3,5}', '{2,4,6}', NULL);
INSERT INTO product_pictures (product_id, digest, position, alt) VALUES (ball(), sha256('a'), 0, 'A ball');
UPDATE products SET pictures = jsonb_build_array(jsonb_build_object(
    'picture', encode(sha256('a'), 'hex'), 'alt', 'A ball', 'sides', '[[1, 2], [3, 4], [5, 6]]'::jsonb)) WHERE id = ball();
"""

CORRUPTIONS: dict[str, dict[str, str]] = {
    "pictures": {
        "a text that differs": _PICTURE + "UPDATE product_pictures SET alt = 'A cube'",  # noqa: S608 - constants
        "a side that differs": _PICTURE + "UPDATE pictures SET widths = '{1,3,7}'",  # noqa: S608 - constants
        "a product that does not repeat it": _PICTURE + "UPDATE products SET pictures = NULL WHERE id = ball()",  # noqa: S608 - constants
        "a product that repeats none": """UPDATE products SET pictures = '[{"picture": "00", "alt": "", "sides": []}]' WHERE id = ball()""",
        "a picture without its row": _PICTURE
        + "ALTER TABLE product_pictures DROP CONSTRAINT product_pictures_digest_fkey; TRUNCATE pictures;",
        "a picture that is about to be deleted": _PICTURE + "UPDATE pictures SET unused_at = now(), condemned_at = now()",  # noqa: S608 - constants
    },
    "unused pictures": {
        "a picture that no sweep looks at": """
            INSERT INTO pictures (digest, widths, heights, unused_at) VALUES (sha256('a'), '{1,3,5}', '{2,4,6}', NULL);
            """,
    },
    "due pictures": {
        "an upload without a job": """
            INSERT INTO picture_uploads (state, file, created_at, expires_at) VALUES ('pending', 'x', now() - interval '1 hour', now());
            """,
    },
}
