"""Formats and bounds of the fields of groups of products and of their variants, which bounds.py includes."""

from collections.abc import Mapping
from typing import Any

from mercato_server.domain.product_groups import (
    GROUP_CODE_MAX,
    GROUP_NAME_MAX,
    OPTION_NAME_MAX,
    OPTION_NAMES_MAX,
    OPTION_VALUE_MAX,
    VARIANTS_MAX,
)
from mercato_server.handlers.product_groups import GROUP_FIELDS
from mercato_server.rpc.preconditions import ETAG_MAX

Bounds = Mapping[str, dict[str, Any]]

_ID_OR_EMPTY = {"pattern": "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?$"}
_LINE = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
_FIELD = f"({'|'.join(GROUP_FIELDS)})"

FORMATS: Bounds = {
    "DeleteProductGroupRequest.group_id": {"format": "uuid"},
    "GetProductGroupRequest.group_id": {"format": "uuid"},
    "Product.group_id": _ID_OR_EMPTY,
    "ProductGroup.id": {"format": "uuid"},
    "ProductGroup.representative_id": _ID_OR_EMPTY,
    "ProductVariant.product_id": {"format": "uuid"},
}
"""Formats of requests and responses."""

BOUNDS: Bounds = {
    "DeleteProductGroupRequest.etag": {"maxLength": ETAG_MAX},
    "ListProductGroupsRequest.code": {"maxLength": GROUP_CODE_MAX, "pattern": _LINE},
    "Product.options": {"maxItems": OPTION_NAMES_MAX},
    "ProductGroup.code": {"maxLength": GROUP_CODE_MAX, "pattern": _LINE},
    "ProductGroup.etag": {"maxLength": ETAG_MAX},
    "ProductGroup.name": {"minLength": 1, "maxLength": GROUP_NAME_MAX, "pattern": _LINE},
    "ProductGroup.varies_by": {"minItems": 1, "maxItems": OPTION_NAMES_MAX},
    "ProductGroup.varies_by[]": {"minLength": 1, "maxLength": OPTION_NAME_MAX, "pattern": _LINE},
    "ProductOption.name": {"minLength": 1, "maxLength": OPTION_NAME_MAX, "pattern": _LINE},
    "ProductOption.value": {"minLength": 1, "maxLength": OPTION_VALUE_MAX, "pattern": _LINE},
    "UpdateProductGroupRequest.update_mask": {"pattern": rf"^(\*|{_FIELD}(,{_FIELD})*)$"},
    "UpsertProductGroupRequest.variants": {"maxItems": VARIANTS_MAX},
}
"""Bounds of requests."""
