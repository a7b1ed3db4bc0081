import { AuditService } from "./gen/mercato/v1/audit_pb.js";
import { AuthService } from "./gen/mercato/v1/auth_pb.js";
import { CartService } from "./gen/mercato/v1/cart_pb.js";
import { CatalogService } from "./gen/mercato/v1/catalog_pb.js";
import { FulfillmentService } from "./gen/mercato/v1/fulfillment_pb.js";
import { MediaService } from "./gen/mercato/v1/media_pb.js";
import { OrderService } from "./gen/mercato/v1/order_pb.js";
import { PaymentService } from "./gen/mercato/v1/payment_pb.js";
import { PromotionService } from "./gen/mercato/v1/promotion_pb.js";
import { ShippingService } from "./gen/mercato/v1/shipping_pb.js";
import { ShopService } from "./gen/mercato/v1/shop_pb.js";
import { TaxService } from "./gen/mercato/v1/tax_pb.js";
import { UserService } from "./gen/mercato/v1/user_pb.js";
import * as rules from "./gen/rules.js";

/** A service with its rules. The types below name the services, because an inferred type would lose the comments of their RPCs. */
type Of<S> = readonly [S, string];

/** The services that buyers use. */
export const buyer: {
  readonly auth: Of<typeof AuthService>;
  readonly users: Of<typeof UserService>;
  readonly catalog: Of<typeof CatalogService>;
  readonly cart: Of<typeof CartService>;
  readonly orders: Of<typeof OrderService>;
  readonly payments: Of<typeof PaymentService>;
  readonly fulfillment: Of<typeof FulfillmentService>;
  readonly shop: Of<typeof ShopService>;
} = {
  auth: [AuthService, rules.AuthService],
  users: [UserService, rules.UserService],
  catalog: [CatalogService, rules.CatalogService],
  cart: [CartService, rules.CartService],
  orders: [OrderService, rules.OrderService],
  payments: [PaymentService, rules.PaymentService],
  fulfillment: [FulfillmentService, rules.FulfillmentService],
  shop: [ShopService, rules.ShopService],
};

/** All services, those for administrators too. */
export const everything: {
  readonly auth: Of<typeof AuthService>;
  readonly users: Of<typeof UserService>;
  readonly audit: Of<typeof AuditService>;
  readonly catalog: Of<typeof CatalogService>;
  readonly media: Of<typeof MediaService>;
  readonly cart: Of<typeof CartService>;
  readonly orders: Of<typeof OrderService>;
  readonly fulfillment: Of<typeof FulfillmentService>;
  readonly shipping: Of<typeof ShippingService>;
  readonly promotions: Of<typeof PromotionService>;
  readonly shop: Of<typeof ShopService>;
  readonly taxes: Of<typeof TaxService>;
  readonly payments: Of<typeof PaymentService>;
} = {
  auth: [AuthService, rules.AuthService],
  users: [UserService, rules.UserService],
  audit: [AuditService, rules.AuditService],
  catalog: [CatalogService, rules.CatalogService],
  media: [MediaService, rules.MediaService],
  cart: [CartService, rules.CartService],
  orders: [OrderService, rules.OrderService],
  fulfillment: [FulfillmentService, rules.FulfillmentService],
  shipping: [ShippingService, rules.ShippingService],
  promotions: [PromotionService, rules.PromotionService],
  shop: [ShopService, rules.ShopService],
  taxes: [TaxService, rules.TaxService],
  payments: [PaymentService, rules.PaymentService],
};
