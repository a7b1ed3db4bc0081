"""Which test runs the fences of each page. A fence that is not listed fails tests/docs/test_fences.py.

The tests of this folder run the fences of `console`, `python`, `typescript` and their `text` on the pages of tools/examples.py, and draw
those of `mermaid`. The others are listed by page, language and heading.
"""

from typing import NamedTuple


class Claim(NamedTuple):
    """Fences of a page that a test runs."""

    page: str
    """Its path from docs/."""
    language: str
    heading: str
    """Of the nearest heading above them; empty for any."""
    fences: int
    test: str
    """Path of the test below tests/, and its function if that is in this folder."""


HERE = "docs/test_operator_fences.py::"
PARSED = f"{HERE}test_the_commands_of_a_step_exist_with_their_options"
"""Of commands that need a machine of their own: a cluster, systemd, a registry. Their programs, files and options are checked."""
PLANS = f"{HERE}test_the_indexes_and_tables_of_a_plan_exist"
CLAIMS = (
    Claim("../README.md", "sh", "Mercato", 1, f"{HERE}test_the_targets_of_make_start_what_the_page_says"),
    Claim("../README.md", "sh", "As an administrator", 1, f"{HERE}test_an_administrator_is_created"),
    Claim("quick-start.md", "sh", "Quick start", 1, f"{HERE}test_the_targets_of_make_start_what_the_page_says"),
    Claim("backup.md", "sh", "A PostgreSQL of your own", 4, "embedded/test_backups.py"),
    Claim("backup.md", "sh", "", 3, PARSED),
    Claim("backup.md", "ini", "Backups", 2, f"{HERE}test_units_of_systemd_are_valid"),
    Claim("clients.md", "sh", "Protos for other languages", 1, f"{HERE}test_the_exported_protos_compile"),
    Claim("clients.md", "python", "Retries", 1, f"{HERE}test_a_stock_channel_takes_the_service_config"),
    Claim("command-line.md", "sh", "", 1, f"{HERE}test_the_packages_of_a_step_have_their_extras"),
    Claim("demo.md", "sh", "A shop of any size", 1, f"{HERE}test_the_commands_make_a_catalog_with_variants"),
    Claim("deploy-docker.md", "sh", "", 3, PARSED),
    Claim("deploy-kubernetes.md", "sh", "", 3, PARSED),
    Claim("deploy-systemd.md", "sh", "", 6, PARSED),
    Claim("deploy-systemd.md", "ini", "Steps", 1, f"{HERE}test_units_of_systemd_are_valid"),
    Claim("deploy.md", "sh", "Envoy", 1, f"{HERE}test_the_configuration_of_the_edge_is_valid"),
    Claim("deploy.md", "nft", "Connections per address", 1, f"{HERE}test_the_kernel_takes_the_rules_of_nftables"),
    Claim("deploy.md", "yaml", "Monitoring", 1, f"{HERE}test_the_probes_are_those_of_the_manifests"),
    Claim("edge.md", "vcl", "Varnish in front of the edge", 1, "rest/test_varnish.py"),
    Claim("feed.md", "sh", "An event that cannot be handled", 1, f"{HERE}test_commands_of_the_feed_run"),
    Claim("high-availability.md", "yaml", "Patroni", 1, "ha/test_documentation.py"),
    Claim("high-availability.md", "sh", "", 6, "ha/test_documentation.py"),
    Claim("high-availability.md", "sh", "PgBouncer", 1, f"{HERE}test_the_statements_for_the_role_of_the_workers_run"),
    Claim("high-availability.md", "text", "Topology", 1, f"{HERE}test_the_topology_has_the_nodes_of_the_settings"),
    Claim("high-availability.md", "ini", "PgBouncer", 1, "ha/test_documentation.py"),
    Claim("high-availability.md", "haproxy", "HAProxy", 1, "ha/test_documentation.py"),
    Claim("how-to.md", "python", "Add an RPC", 2, f"{HERE}test_code_to_copy_is_valid_and_names_what_exists"),
    Claim("import.md", "csv", "", 4, f"{HERE}test_a_csv_is_imported"),
    Claim("metrics.md", "yaml", "Where they are", 1, f"{HERE}test_prometheus_takes_the_scrape_config"),
    Claim("migrations.md", "sql", "The phases", 1, f"{HERE}test_statements_run_in_the_shop"),
    Claim("moving-in.md", "csv", "Redirects", 1, f"{HERE}test_redirects_have_the_columns_of_the_export"),
    Claim("openapi.md", "sh", "Checks", 1, PARSED),
    Claim("payments.md", "sh", "", 2, PARSED),
    Claim("personal-data.md", "sh", "After a restore", 1, f"{HERE}test_erased_accounts_are_listed_and_erased_again"),
    Claim("pictures.md", "sh", "Uploads", 1, f"{HERE}test_a_picture_is_uploaded"),
    Claim("pictures.md", "sh", "Signed uploads", 1, PARSED),
    Claim("pictures.md", "sh", "Moving to a bucket", 1, PARSED),
    Claim("pictures.md", "json", "Rights", 1, "rpc/test_picture_bucket.py"),
    Claim("pictures.md", "xml", "Rights", 1, "rpc/test_picture_bucket.py"),
    Claim("restores.md", "sh", "The mark", 1, f"{HERE}test_the_commands_after_a_restore_mark_the_database"),
    Claim("runbooks.md", "sh", "", 19, "faults/test_runbooks.py"),
    Claim("runbooks.md", "sql", "", 12, "faults/test_runbooks.py"),
    Claim("search.md", "text", "", 4, PLANS),
    Claim("search.md", "sql", "How a search runs", 1, f"{HERE}test_statements_run_in_the_shop"),
    Claim("taxes.md", "json", "The contract over HTTP", 2, f"{HERE}test_the_example_of_the_tax_contract_adds_up"),
    Claim("tracing.md", "sh", "Turn it on", 1, f"{HERE}test_the_settings_of_tracing_exist"),
    Claim("tracing.md", "text", "An example", 1, f"{HERE}test_the_statements_of_the_example_trace_exist"),
    Claim("tracing.md", "sh", "Cost", 1, PARSED),
    Claim("typescript.md", "ts", "Sessions", 1, "typescript/test_purchase.py"),
    Claim("upgrades.md", "sh", "Forwards", 1, "faults/test_upgrade.py"),
    Claim("upgrades.md", "sh", "Back", 1, "faults/test_upgrade.py"),
    Claim("upgrades.md", "sh", "`mercato up`", 1, PARSED),
    Claim("variant-lists.md", "http", "Lists of variants", 1, f"{HERE}test_the_request_for_a_list_is_answered"),
)
