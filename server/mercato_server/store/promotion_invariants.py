"""The invariants of promotions, as queries for store/invariants.py."""

WRONG_PROMOTIONS = """
SELECT coalesce(promotion.id, redemption.promotion_id) AS promotion_id, promotion.used, promotion.usage_limit, redemption.uses AS redeemed,
       promotion.codes, code.codes AS codes_found
  FROM promotions AS promotion
  FULL JOIN (SELECT promotion_id, count(*) FILTER (WHERE released_at IS NULL) AS uses
               FROM promotion_redemptions
              GROUP BY promotion_id) AS redemption ON redemption.promotion_id = promotion.id
  LEFT JOIN (SELECT promotion_id, count(*) AS codes
               FROM promotion_codes
              GROUP BY promotion_id) AS code ON code.promotion_id = promotion.id
 WHERE promotion.used IS DISTINCT FROM coalesce(redemption.uses, 0)  -- also if there is no promotion
    OR promotion.used > promotion.usage_limit
    OR promotion.codes <> coalesce(code.codes, 0)
"""

WRONG_CODES = """
SELECT coalesce(code.code_folded, redemption.code_folded) AS code_folded, code.used, code.usage_limit, redemption.uses AS redeemed
  FROM promotion_codes AS code
  FULL JOIN (SELECT code_folded, promotion_id, count(*) FILTER (WHERE released_at IS NULL) AS uses
               FROM promotion_redemptions
              WHERE code_folded IS NOT NULL
              GROUP BY code_folded, promotion_id) AS redemption
         ON redemption.code_folded = code.code_folded AND redemption.promotion_id = code.promotion_id
 WHERE code.used IS DISTINCT FROM coalesce(redemption.uses, 0) OR code.used > code.usage_limit
"""

# Buyers are counted for promotions that limit them. A limit may be lowered below the uses that there are.
WRONG_BUYERS = """
SELECT coalesce(buyer.promotion_id, redemption.promotion_id) AS promotion_id, coalesce(buyer.subject, redemption.subject) AS subject,
       buyer.uses, redemption.uses AS redeemed
  FROM promotion_buyers AS buyer
  FULL JOIN (SELECT promotion_id, subject, count(*) AS uses
               FROM promotion_redemptions
               JOIN promotions ON promotions.id = promotion_id AND per_buyer_limit IS NOT NULL
              CROSS JOIN LATERAL unnest(subjects) AS subject
              WHERE released_at IS NULL
              GROUP BY promotion_id, subject) AS redemption
         ON redemption.promotion_id = buyer.promotion_id AND redemption.subject = buyer.subject
 WHERE coalesce(buyer.uses, 0) <> coalesce(redemption.uses, 0)
"""
