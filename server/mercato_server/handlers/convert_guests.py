"""Messages about guests."""

from mercato.v1 import cart_merge_pb2
from mercato_server.domain.cart_merges import Merge, MergeMode

MODE_OF = {
    cart_merge_pb2.CART_MERGE_MODE_UNSPECIFIED: MergeMode.SUM,
    cart_merge_pb2.CART_MERGE_MODE_SUM: MergeMode.SUM,
    cart_merge_pb2.CART_MERGE_MODE_KEEP: MergeMode.KEEP,
    cart_merge_pb2.CART_MERGE_MODE_REPLACE: MergeMode.REPLACE,
}
MODES = {mode: number for number, mode in MODE_OF.items()}


def guest_merge(merge: Merge) -> cart_merge_pb2.GuestMerge:
    """Return what became of a guest."""
    lines = [
        cart_merge_pb2.GuestMergeLine(
            product_id=str(change.product_id),
            account_quantity=change.account_quantity,
            guest_quantity=change.guest_quantity,
            quantity=change.quantity,
            left_out=change.left_out,
        )
        for change in merge.changes
    ]
    return cart_merge_pb2.GuestMerge(
        merged=merge.merged,
        mode=MODES[merge.mode],
        lines=lines,
        codes_added=merge.codes_added,
        codes_left_out=merge.codes_left_out,
    )
