-- phase: expand
-- The names of things in addresses. A thing has one live slug; its earlier ones lead to it until another thing takes them. A new kind of
-- thing is a new value of `kind`. A subject of any kind has no common table to refer to.
CREATE TABLE slugs (
    kind       text NOT NULL COLLATE "C",
    slug       text NOT NULL COLLATE "C",
    subject_id uuid NOT NULL,
    is_live    boolean NOT NULL DEFAULT true,
    given_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, slug),
    CONSTRAINT slugs_slug_check CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 80)
);
CREATE UNIQUE INDEX slugs_live_key ON slugs (kind, subject_id) WHERE is_live;
CREATE INDEX slugs_by_subject ON slugs (kind, subject_id, given_at);
