"""CSV for spreadsheets."""


def protected(column: str) -> str:
    """Return an expression that shows the text of a column so that a spreadsheet does not run it.

    A spreadsheet takes a cell for a formula if it begins with one of these characters, also in full width (OWASP, CSV Injection). It takes
    no cell with an apostrophe before it for one. Cells that begin with an apostrophe get another one, so that an import can remove the
    first.
    """
    return rf"regexp_replace({column}, '^[''=+@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20-]', '''\&')"
