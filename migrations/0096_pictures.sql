-- phase: expand
-- A picture, whose renditions are files named by its digest. It stays while a product shows it. A sweep first condemns those that no product
-- shows, so that none begins to, and then deletes their files and rows.
CREATE TABLE pictures (
    digest       bytea PRIMARY KEY CHECK (length(digest) = 32),  -- of the renditions
    widths       integer[] NOT NULL CHECK (cardinality(widths) = 3),  -- of small, medium, large
    heights      integer[] NOT NULL CHECK (cardinality(heights) = 3),
    created_at   timestamptz NOT NULL DEFAULT now(),
    unused_at    timestamptz DEFAULT now(),  -- since when perhaps no product shows it; NULL: one does
    condemned_at timestamptz CHECK (unused_at IS NOT NULL OR condemned_at IS NULL)
);

CREATE INDEX pictures_unused ON pictures (unused_at) WHERE unused_at IS NOT NULL;

-- An upload of a picture. The shop owes the verification of a pending one.
CREATE TABLE picture_uploads (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'pending', 'ready', 'refused')),
    file       text CHECK ((file IS NULL) = (state = 'waiting')),  -- name of the file that came
    digest     bytea CHECK ((digest IS NOT NULL) = (state = 'ready')),  -- no foreign key: the picture may be deleted sooner
    refusal    text NOT NULL DEFAULT '',
    message    text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX picture_uploads_old ON picture_uploads (created_at);
CREATE INDEX picture_uploads_open ON picture_uploads (state, created_at) WHERE state IN ('waiting', 'pending');

-- The pictures that a product shows. products.pictures repeats them for readers.
CREATE TABLE product_pictures (
    product_id uuid NOT NULL REFERENCES products (id),
    digest     bytea NOT NULL REFERENCES pictures (digest),
    position   smallint NOT NULL CHECK (position >= 0),
    alt        text NOT NULL,
    PRIMARY KEY (product_id, digest),
    CONSTRAINT product_pictures_position UNIQUE (product_id, position)
);

CREATE INDEX product_pictures_by_picture ON product_pictures (digest);
