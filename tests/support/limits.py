"""Settings that lift the limits of accounts, because most tests have few accounts that do much."""

BUYERS_WITHOUT_LIMITS = {"MERCATO_OPEN_ORDERS": "0", "MERCATO_KEYS_PER_ACCOUNT": "0", "MERCATO_UNITS_PER_PRODUCT": "1000"}
