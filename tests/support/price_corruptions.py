"""SQL that corrupts prices of orders and leaves all sums right: only recomputing finds it.

Orders are known by their notes, lines by the names of their products.
"""

PREPARE = """
CREATE FUNCTION noted(wanted text) RETURNS uuid RETURN (SELECT id FROM orders WHERE note = wanted);

CREATE FUNCTION product(wanted text, called text) RETURNS uuid
RETURN (SELECT product_id FROM order_items WHERE order_id = noted(wanted) AND product_name = called);
"""

CORRUPTIONS: dict[str, tuple[str, str, str]] = {
    "a tax that another line bears": (
        "net",
        ".tax: ",
        """
        UPDATE order_items SET tax_minor = tax_minor - 1 WHERE order_id = noted('net') AND product_name = 'Pen 1';
        UPDATE order_items SET tax_minor = tax_minor + 1 WHERE order_id = noted('net') AND product_name = 'Pen 3';
        """,
    ),
    "a discount of another line": (
        "tenth",
        "discounts[",
        """
        UPDATE order_discounts SET amount_minor = amount_minor - 1 WHERE order_id = noted('tenth') AND product_id = product('tenth', 'A');
        UPDATE order_discounts SET amount_minor = amount_minor + 1 WHERE order_id = noted('tenth') AND product_id = product('tenth', 'B');
        UPDATE order_items SET discount_minor = discount_minor - 1 WHERE order_id = noted('tenth') AND product_name = 'A';
        UPDATE order_items SET discount_minor = discount_minor + 1 WHERE order_id = noted('tenth') AND product_name = 'B';
        """,
    ),
    "free units at a price that no unit has": (
        "units",
        "discounts[",
        """
        UPDATE order_discounts SET amount_minor = 100 WHERE order_id = noted('units');
        INSERT INTO order_discounts (order_id, position, promotion_id, name, product_id, amount_minor, currency_code)
        SELECT order_id, 1, promotion_id, name, product('units', 'C'), 100, currency_code
          FROM order_discounts
         WHERE order_id = noted('units');
        UPDATE order_items SET discount_minor = 100 WHERE order_id = noted('units');
        """,
    ),
    "half a free delivery": (
        "free",
        "delivery.discount: 300, by the rules 600",
        """
        UPDATE order_discounts SET amount_minor = 300 WHERE order_id = noted('free');
        UPDATE promotion_redemptions SET amount_minor = 300 WHERE order_id = noted('free');
        UPDATE orders SET delivery_discount_minor = 300, total_minor = total_minor + 300 WHERE id = noted('free');
        """,
    ),
    "a delivery of another rate": (
        "net",
        "the delivery is divided among the rates",
        """
        UPDATE order_taxes SET net_minor = net_minor - 1, delivery_net_minor = delivery_net_minor - 1
         WHERE order_id = noted('net') AND position = 0;
        UPDATE order_taxes SET net_minor = net_minor + 1, delivery_net_minor = delivery_net_minor + 1
         WHERE order_id = noted('net') AND position = 1;
        """,
    ),
    "the net amount of a rate": (
        "mixed",
        "taxes[190000 ppm]",
        "UPDATE order_taxes SET net_minor = net_minor + 1 WHERE order_id = noted('mixed') AND position = 0",
    ),
    "a tax of another rate": (
        "mixed",
        "taxes[70000 ppm]",
        """
        UPDATE order_taxes SET tax_minor = tax_minor - 1, net_minor = net_minor + 1 WHERE order_id = noted('mixed') AND position = 0;
        UPDATE order_taxes SET tax_minor = tax_minor + 1, net_minor = net_minor - 1 WHERE order_id = noted('mixed') AND position = 1;
        """,
    ),
}
"""By name: the note of the order, a part of the finding, and the SQL."""
