-- Run once by a superuser in the database of the shop: the owner of the tables, who migrates, and the role of the workers, which only reads
-- and writes rows. The passwords come from files, so no command line shows them.
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set worker_password `cat "${SECRETS:-/run/secrets}/worker_password"`
CREATE ROLE mercato LOGIN PASSWORD :'owner_password';
CREATE ROLE mercato_worker LOGIN PASSWORD :'worker_password';
SELECT format('ALTER DATABASE %I OWNER TO mercato', current_database()) \gexec
ALTER SCHEMA public OWNER TO mercato;
ALTER DEFAULT PRIVILEGES FOR ROLE mercato IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO mercato_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE mercato IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO mercato_worker;
