-- phase: expand
-- The files of pictures may be in a bucket, which answers slowly: a lease, not a lock, keeps others from the files of a picture meanwhile.
ALTER TABLE pictures
    ADD COLUMN lease        uuid,  -- the upload whose picture is stored, or a sweep; NULL: the files are at rest
    ADD COLUMN leased_until timestamptz;

-- A signed upload takes a file of this length only.
ALTER TABLE picture_uploads ADD COLUMN content_length integer;
