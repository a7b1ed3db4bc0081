"""Every RPC, generated from protos/; never edited."""

from google.api import httpbody_pb2

from mercato._core import Credentials, Method
from mercato.v1 import (
    audit_pb2,
    auth_pb2,
    cart_pb2,
    catalog_pb2,
    fulfillment_pb2,
    media_pb2,
    order_pb2,
    payment_pb2,
    promotion_pb2,
    shipping_pb2,
    shop_pb2,
    tax_pb2,
    user_pb2,
)

AUDIT_LIST_AUDIT_LOG = Method(
    "/mercato.v1.AuditService/ListAuditLog",
    audit_pb2.ListAuditLogRequest,
    audit_pb2.ListAuditLogResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="entries",
)
AUTH_CHANGE_PASSWORD = Method(
    "/mercato.v1.AuthService/ChangePassword",
    auth_pb2.ChangePasswordRequest,
    auth_pb2.ChangePasswordResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
AUTH_CREATE_GUEST = Method(
    "/mercato.v1.AuthService/CreateGuest", auth_pb2.CreateGuestRequest, auth_pb2.LoginResponse, Credentials.NEVER, reads=False, keyed=False
)
AUTH_DELETE_ME = Method(
    "/mercato.v1.AuthService/DeleteMe",
    auth_pb2.DeleteMeRequest,
    auth_pb2.DeleteMeResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=False,
    timeout_s=10.0,
)
AUTH_EXPORT_ME = Method(
    "/mercato.v1.AuthService/ExportMe",
    auth_pb2.ExportMeRequest,
    auth_pb2.ExportMeResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=False,
    items="orders",
)
AUTH_GET_JWKS = Method(
    "/mercato.v1.AuthService/GetJwks", auth_pb2.GetJwksRequest, auth_pb2.Jwks, Credentials.IF_ANY, reads=True, keyed=False
)
AUTH_LIST_SESSIONS = Method(
    "/mercato.v1.AuthService/ListSessions",
    auth_pb2.ListSessionsRequest,
    auth_pb2.ListSessionsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="sessions",
)
AUTH_LOGIN = Method(
    "/mercato.v1.AuthService/Login", auth_pb2.LoginRequest, auth_pb2.LoginResponse, Credentials.NEVER, reads=False, keyed=False
)
AUTH_LOGIN_FORM = Method(
    "/mercato.v1.AuthService/LoginForm", auth_pb2.LoginFormRequest, auth_pb2.LoginResponse, Credentials.NEVER, reads=False, keyed=False
)
AUTH_LOGOUT = Method(
    "/mercato.v1.AuthService/Logout", auth_pb2.LogoutRequest, auth_pb2.LogoutResponse, Credentials.ALWAYS, reads=False, keyed=False
)
AUTH_LOGOUT_ALL = Method(
    "/mercato.v1.AuthService/LogoutAll", auth_pb2.LogoutAllRequest, auth_pb2.LogoutAllResponse, Credentials.ALWAYS, reads=False, keyed=False
)
AUTH_REFRESH = Method(
    "/mercato.v1.AuthService/Refresh", auth_pb2.RefreshRequest, auth_pb2.LoginResponse, Credentials.NEVER, reads=False, keyed=False
)
AUTH_REQUEST_EMAIL_VERIFICATION = Method(
    "/mercato.v1.AuthService/RequestEmailVerification",
    auth_pb2.RequestEmailVerificationRequest,
    auth_pb2.RequestEmailVerificationResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
AUTH_REQUEST_PASSWORD_RESET = Method(
    "/mercato.v1.AuthService/RequestPasswordReset",
    auth_pb2.RequestPasswordResetRequest,
    auth_pb2.RequestPasswordResetResponse,
    Credentials.NEVER,
    reads=False,
    keyed=True,
)
AUTH_RESET_PASSWORD = Method(
    "/mercato.v1.AuthService/ResetPassword",
    auth_pb2.ResetPasswordRequest,
    auth_pb2.ResetPasswordResponse,
    Credentials.NEVER,
    reads=False,
    keyed=True,
)
AUTH_REVOKE_SESSION = Method(
    "/mercato.v1.AuthService/RevokeSession", auth_pb2.RevokeSessionRequest, auth_pb2.Session, Credentials.ALWAYS, reads=False, keyed=True
)
AUTH_SIGN_UP = Method("/mercato.v1.AuthService/SignUp", auth_pb2.SignUpRequest, user_pb2.User, Credentials.NEVER, reads=False, keyed=True)
AUTH_VERIFY_EMAIL = Method(
    "/mercato.v1.AuthService/VerifyEmail",
    auth_pb2.VerifyEmailRequest,
    auth_pb2.VerifyEmailResponse,
    Credentials.NEVER,
    reads=False,
    keyed=True,
)
CART_ADD_CART_ITEM = Method(
    "/mercato.v1.CartService/AddCartItem", cart_pb2.AddCartItemRequest, cart_pb2.Cart, Credentials.ALWAYS, reads=False, keyed=True
)
CART_CLEAR_CART = Method(
    "/mercato.v1.CartService/ClearCart", cart_pb2.ClearCartRequest, cart_pb2.Cart, Credentials.ALWAYS, reads=False, keyed=True
)
CART_GET_CART = Method(
    "/mercato.v1.CartService/GetCart", cart_pb2.GetCartRequest, cart_pb2.Cart, Credentials.ALWAYS, reads=True, keyed=False
)
CART_GET_CART_HEADER = Method(
    "/mercato.v1.CartService/GetCartHeader", cart_pb2.GetCartHeaderRequest, cart_pb2.CartHeader, Credentials.ALWAYS, reads=True, keyed=False
)
CART_GET_SHIPPING_OPTIONS = Method(
    "/mercato.v1.CartService/GetShippingOptions",
    cart_pb2.GetShippingOptionsRequest,
    cart_pb2.GetShippingOptionsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
CART_QUOTE_CART = Method(
    "/mercato.v1.CartService/QuoteCart", cart_pb2.QuoteCartRequest, cart_pb2.Quote, Credentials.ALWAYS, reads=False, keyed=True
)
CART_REMOVE_CART_ITEM = Method(
    "/mercato.v1.CartService/RemoveCartItem", cart_pb2.RemoveCartItemRequest, cart_pb2.Cart, Credentials.ALWAYS, reads=False, keyed=True
)
CART_SET_CART_ITEM = Method(
    "/mercato.v1.CartService/SetCartItem", cart_pb2.SetCartItemRequest, cart_pb2.Cart, Credentials.ALWAYS, reads=False, keyed=True
)
CART_UPDATE_CART_HEADER = Method(
    "/mercato.v1.CartService/UpdateCartHeader",
    cart_pb2.UpdateCartHeaderRequest,
    cart_pb2.CartHeader,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_ADJUST_STOCK = Method(
    "/mercato.v1.CatalogService/AdjustStock",
    catalog_pb2.AdjustStockRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_BATCH_GET_PRODUCTS = Method(
    "/mercato.v1.CatalogService/BatchGetProducts",
    catalog_pb2.BatchGetProductsRequest,
    catalog_pb2.BatchGetProductsResponse,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
)
CATALOG_CREATE_CATEGORY = Method(
    "/mercato.v1.CatalogService/CreateCategory",
    catalog_pb2.CreateCategoryRequest,
    catalog_pb2.Category,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_CREATE_PRODUCT = Method(
    "/mercato.v1.CatalogService/CreateProduct",
    catalog_pb2.CreateProductRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_CREATE_PRODUCT_GROUP = Method(
    "/mercato.v1.CatalogService/CreateProductGroup",
    catalog_pb2.CreateProductGroupRequest,
    catalog_pb2.ProductGroup,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_DELETE_CATEGORY = Method(
    "/mercato.v1.CatalogService/DeleteCategory",
    catalog_pb2.DeleteCategoryRequest,
    catalog_pb2.Category,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_DELETE_PRODUCT = Method(
    "/mercato.v1.CatalogService/DeleteProduct",
    catalog_pb2.DeleteProductRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_DELETE_PRODUCT_GROUP = Method(
    "/mercato.v1.CatalogService/DeleteProductGroup",
    catalog_pb2.DeleteProductGroupRequest,
    catalog_pb2.ProductGroup,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_GET_CATEGORY = Method(
    "/mercato.v1.CatalogService/GetCategory",
    catalog_pb2.GetCategoryRequest,
    catalog_pb2.Category,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
)
CATALOG_GET_PRODUCT = Method(
    "/mercato.v1.CatalogService/GetProduct", catalog_pb2.GetProductRequest, catalog_pb2.Product, Credentials.IF_ANY, reads=True, keyed=False
)
CATALOG_GET_PRODUCT_GROUP = Method(
    "/mercato.v1.CatalogService/GetProductGroup",
    catalog_pb2.GetProductGroupRequest,
    catalog_pb2.ProductGroup,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
)
CATALOG_GET_SLUG = Method(
    "/mercato.v1.CatalogService/GetSlug",
    catalog_pb2.GetSlugRequest,
    catalog_pb2.GetSlugResponse,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
)
CATALOG_LIST_CATEGORIES = Method(
    "/mercato.v1.CatalogService/ListCategories",
    catalog_pb2.ListCategoriesRequest,
    catalog_pb2.ListCategoriesResponse,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
    items="categories",
)
CATALOG_LIST_PRODUCT_GROUPS = Method(
    "/mercato.v1.CatalogService/ListProductGroups",
    catalog_pb2.ListProductGroupsRequest,
    catalog_pb2.ListProductGroupsResponse,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
    items="groups",
)
CATALOG_LIST_PRODUCTS = Method(
    "/mercato.v1.CatalogService/ListProducts",
    catalog_pb2.ListProductsRequest,
    catalog_pb2.ListProductsResponse,
    Credentials.IF_ANY,
    reads=True,
    keyed=False,
    items="products",
)
CATALOG_UNDELETE_PRODUCT = Method(
    "/mercato.v1.CatalogService/UndeleteProduct",
    catalog_pb2.UndeleteProductRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_UPDATE_CATEGORY = Method(
    "/mercato.v1.CatalogService/UpdateCategory",
    catalog_pb2.UpdateCategoryRequest,
    catalog_pb2.Category,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_UPDATE_PRODUCT = Method(
    "/mercato.v1.CatalogService/UpdateProduct",
    catalog_pb2.UpdateProductRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_UPDATE_PRODUCT_GROUP = Method(
    "/mercato.v1.CatalogService/UpdateProductGroup",
    catalog_pb2.UpdateProductGroupRequest,
    catalog_pb2.ProductGroup,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
CATALOG_UPSERT_PRODUCT_GROUP = Method(
    "/mercato.v1.CatalogService/UpsertProductGroup",
    catalog_pb2.UpsertProductGroupRequest,
    catalog_pb2.ProductGroup,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
FULFILLMENT_CANCEL_ORDER_ITEMS = Method(
    "/mercato.v1.FulfillmentService/CancelOrderItems",
    fulfillment_pb2.CancelOrderItemsRequest,
    order_pb2.Order,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=10.0,
)
FULFILLMENT_CANCEL_SHIPMENT = Method(
    "/mercato.v1.FulfillmentService/CancelShipment",
    fulfillment_pb2.CancelShipmentRequest,
    fulfillment_pb2.Shipment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
FULFILLMENT_CREATE_RETURN = Method(
    "/mercato.v1.FulfillmentService/CreateReturn",
    fulfillment_pb2.CreateReturnRequest,
    fulfillment_pb2.Return,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
FULFILLMENT_CREATE_SHIPMENT = Method(
    "/mercato.v1.FulfillmentService/CreateShipment",
    fulfillment_pb2.CreateShipmentRequest,
    fulfillment_pb2.Shipment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
FULFILLMENT_DELIVER_SHIPMENT = Method(
    "/mercato.v1.FulfillmentService/DeliverShipment",
    fulfillment_pb2.DeliverShipmentRequest,
    fulfillment_pb2.Shipment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
FULFILLMENT_GET_SHIPMENT = Method(
    "/mercato.v1.FulfillmentService/GetShipment",
    fulfillment_pb2.GetShipmentRequest,
    fulfillment_pb2.Shipment,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
FULFILLMENT_LIST_RETURNS = Method(
    "/mercato.v1.FulfillmentService/ListReturns",
    fulfillment_pb2.ListReturnsRequest,
    fulfillment_pb2.ListReturnsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="returns",
)
FULFILLMENT_LIST_SHIPMENTS = Method(
    "/mercato.v1.FulfillmentService/ListShipments",
    fulfillment_pb2.ListShipmentsRequest,
    fulfillment_pb2.ListShipmentsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="shipments",
)
FULFILLMENT_SHIP_SHIPMENT = Method(
    "/mercato.v1.FulfillmentService/ShipShipment",
    fulfillment_pb2.ShipShipmentRequest,
    fulfillment_pb2.Shipment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=10.0,
)
MEDIA_COMPLETE_PICTURE_UPLOAD = Method(
    "/mercato.v1.MediaService/CompletePictureUpload",
    media_pb2.CompletePictureUploadRequest,
    media_pb2.PictureUpload,
    Credentials.ALWAYS,
    reads=False,
    keyed=False,
)
MEDIA_CREATE_PICTURE_UPLOAD = Method(
    "/mercato.v1.MediaService/CreatePictureUpload",
    media_pb2.CreatePictureUploadRequest,
    media_pb2.PictureUpload,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
MEDIA_GET_PICTURE = Method(
    "/mercato.v1.MediaService/GetPicture", media_pb2.GetPictureRequest, httpbody_pb2.HttpBody, Credentials.IF_ANY, reads=True, keyed=False
)
MEDIA_GET_PICTURE_UPLOAD = Method(
    "/mercato.v1.MediaService/GetPictureUpload",
    media_pb2.GetPictureUploadRequest,
    media_pb2.PictureUpload,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
MEDIA_SET_PRODUCT_PICTURES = Method(
    "/mercato.v1.MediaService/SetProductPictures",
    media_pb2.SetProductPicturesRequest,
    catalog_pb2.Product,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
MEDIA_UPLOAD_PICTURE_CONTENT = Method(
    "/mercato.v1.MediaService/UploadPictureContent",
    media_pb2.UploadPictureContentRequest,
    media_pb2.PictureUpload,
    Credentials.ALWAYS,
    reads=False,
    keyed=False,
    streams=True,
    timeout_s=600.0,
)
ORDER_ADVANCE_ORDER = Method(
    "/mercato.v1.OrderService/AdvanceOrder", order_pb2.AdvanceOrderRequest, order_pb2.Order, Credentials.ALWAYS, reads=False, keyed=True
)
ORDER_CANCEL_ORDER = Method(
    "/mercato.v1.OrderService/CancelOrder", order_pb2.CancelOrderRequest, order_pb2.Order, Credentials.ALWAYS, reads=False, keyed=True
)
ORDER_CHECKOUT = Method(
    "/mercato.v1.OrderService/Checkout", order_pb2.CheckoutRequest, order_pb2.Order, Credentials.ALWAYS, reads=False, keyed=True
)
ORDER_CREATE_ORDER_NOTE = Method(
    "/mercato.v1.OrderService/CreateOrderNote",
    order_pb2.CreateOrderNoteRequest,
    order_pb2.OrderNote,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
ORDER_GET_LINKED_ORDER = Method(
    "/mercato.v1.OrderService/GetLinkedOrder", order_pb2.GetLinkedOrderRequest, order_pb2.Order, Credentials.IF_ANY, reads=True, keyed=False
)
ORDER_GET_ORDER = Method(
    "/mercato.v1.OrderService/GetOrder", order_pb2.GetOrderRequest, order_pb2.Order, Credentials.ALWAYS, reads=True, keyed=False
)
ORDER_LIST_ALL_ORDERS = Method(
    "/mercato.v1.OrderService/ListAllOrders",
    order_pb2.ListAllOrdersRequest,
    order_pb2.ListAllOrdersResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="orders",
)
ORDER_LIST_ORDER_NOTES = Method(
    "/mercato.v1.OrderService/ListOrderNotes",
    order_pb2.ListOrderNotesRequest,
    order_pb2.ListOrderNotesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="notes",
)
ORDER_LIST_ORDERS = Method(
    "/mercato.v1.OrderService/ListOrders",
    order_pb2.ListOrdersRequest,
    order_pb2.ListOrdersResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="orders",
)
PAYMENT_CANCEL_PAYMENT = Method(
    "/mercato.v1.PaymentService/CancelPayment",
    payment_pb2.CancelPaymentRequest,
    payment_pb2.Payment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=15.0,
)
PAYMENT_CAPTURE_PAYMENT = Method(
    "/mercato.v1.PaymentService/CapturePayment",
    payment_pb2.CapturePaymentRequest,
    payment_pb2.Payment,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=15.0,
)
PAYMENT_CREATE_PAYMENT = Method(
    "/mercato.v1.PaymentService/CreatePayment",
    payment_pb2.CreatePaymentRequest,
    payment_pb2.CreatePaymentResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=15.0,
)
PAYMENT_CREATE_REFUND = Method(
    "/mercato.v1.PaymentService/CreateRefund",
    payment_pb2.CreateRefundRequest,
    payment_pb2.Refund,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
    timeout_s=15.0,
)
PAYMENT_GET_PAYMENT = Method(
    "/mercato.v1.PaymentService/GetPayment", payment_pb2.GetPaymentRequest, payment_pb2.Payment, Credentials.ALWAYS, reads=True, keyed=False
)
PAYMENT_HANDLE_PAYMENT_EVENT = Method(
    "/mercato.v1.PaymentService/HandlePaymentEvent",
    payment_pb2.HandlePaymentEventRequest,
    payment_pb2.HandlePaymentEventResponse,
    Credentials.NEVER,
    reads=False,
    keyed=False,
)
PAYMENT_LIST_ALL_PAYMENTS = Method(
    "/mercato.v1.PaymentService/ListAllPayments",
    payment_pb2.ListAllPaymentsRequest,
    payment_pb2.ListAllPaymentsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="payments",
)
PAYMENT_LIST_ALL_REFUNDS = Method(
    "/mercato.v1.PaymentService/ListAllRefunds",
    payment_pb2.ListAllRefundsRequest,
    payment_pb2.ListAllRefundsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="refunds",
)
PAYMENT_LIST_DISPUTES = Method(
    "/mercato.v1.PaymentService/ListDisputes",
    payment_pb2.ListDisputesRequest,
    payment_pb2.ListDisputesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="disputes",
)
PAYMENT_LIST_PAYMENT_EVENTS = Method(
    "/mercato.v1.PaymentService/ListPaymentEvents",
    payment_pb2.ListPaymentEventsRequest,
    payment_pb2.ListPaymentEventsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="events",
)
PAYMENT_LIST_PAYMENT_REQUESTS = Method(
    "/mercato.v1.PaymentService/ListPaymentRequests",
    payment_pb2.ListPaymentRequestsRequest,
    payment_pb2.ListPaymentRequestsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="requests",
)
PAYMENT_LIST_PAYMENTS = Method(
    "/mercato.v1.PaymentService/ListPayments",
    payment_pb2.ListPaymentsRequest,
    payment_pb2.ListPaymentsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="payments",
)
PAYMENT_LIST_REFUNDS = Method(
    "/mercato.v1.PaymentService/ListRefunds",
    payment_pb2.ListRefundsRequest,
    payment_pb2.ListRefundsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="refunds",
)
PAYMENT_RESOLVE_PAYMENT_EVENT = Method(
    "/mercato.v1.PaymentService/ResolvePaymentEvent",
    payment_pb2.ResolvePaymentEventRequest,
    payment_pb2.PaymentEvent,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_ARCHIVE_PROMOTION = Method(
    "/mercato.v1.PromotionService/ArchivePromotion",
    promotion_pb2.ArchivePromotionRequest,
    promotion_pb2.Promotion,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_ARCHIVE_PROMOTION_CODE = Method(
    "/mercato.v1.PromotionService/ArchivePromotionCode",
    promotion_pb2.ArchivePromotionCodeRequest,
    promotion_pb2.PromotionCode,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_CREATE_PROMOTION = Method(
    "/mercato.v1.PromotionService/CreatePromotion",
    promotion_pb2.CreatePromotionRequest,
    promotion_pb2.Promotion,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_CREATE_PROMOTION_CODE = Method(
    "/mercato.v1.PromotionService/CreatePromotionCode",
    promotion_pb2.CreatePromotionCodeRequest,
    promotion_pb2.PromotionCode,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_GENERATE_PROMOTION_CODES = Method(
    "/mercato.v1.PromotionService/GeneratePromotionCodes",
    promotion_pb2.GeneratePromotionCodesRequest,
    promotion_pb2.GeneratePromotionCodesResponse,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
PROMOTION_GET_PROMOTION = Method(
    "/mercato.v1.PromotionService/GetPromotion",
    promotion_pb2.GetPromotionRequest,
    promotion_pb2.Promotion,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
PROMOTION_LIST_PROMOTION_CODES = Method(
    "/mercato.v1.PromotionService/ListPromotionCodes",
    promotion_pb2.ListPromotionCodesRequest,
    promotion_pb2.ListPromotionCodesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="codes",
)
PROMOTION_LIST_PROMOTIONS = Method(
    "/mercato.v1.PromotionService/ListPromotions",
    promotion_pb2.ListPromotionsRequest,
    promotion_pb2.ListPromotionsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="promotions",
)
PROMOTION_UPDATE_PROMOTION = Method(
    "/mercato.v1.PromotionService/UpdatePromotion",
    promotion_pb2.UpdatePromotionRequest,
    promotion_pb2.Promotion,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_ARCHIVE_SHIPPING_METHOD = Method(
    "/mercato.v1.ShippingService/ArchiveShippingMethod",
    shipping_pb2.ArchiveShippingMethodRequest,
    shipping_pb2.ShippingMethod,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_ARCHIVE_SHIPPING_ZONE = Method(
    "/mercato.v1.ShippingService/ArchiveShippingZone",
    shipping_pb2.ArchiveShippingZoneRequest,
    shipping_pb2.ShippingZone,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_CREATE_SHIPPING_METHOD = Method(
    "/mercato.v1.ShippingService/CreateShippingMethod",
    shipping_pb2.CreateShippingMethodRequest,
    shipping_pb2.ShippingMethod,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_CREATE_SHIPPING_ZONE = Method(
    "/mercato.v1.ShippingService/CreateShippingZone",
    shipping_pb2.CreateShippingZoneRequest,
    shipping_pb2.ShippingZone,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_GET_SHIPPING_METHOD = Method(
    "/mercato.v1.ShippingService/GetShippingMethod",
    shipping_pb2.GetShippingMethodRequest,
    shipping_pb2.ShippingMethod,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
SHIPPING_GET_SHIPPING_ZONE = Method(
    "/mercato.v1.ShippingService/GetShippingZone",
    shipping_pb2.GetShippingZoneRequest,
    shipping_pb2.ShippingZone,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
SHIPPING_LIST_SHIPPING_METHODS = Method(
    "/mercato.v1.ShippingService/ListShippingMethods",
    shipping_pb2.ListShippingMethodsRequest,
    shipping_pb2.ListShippingMethodsResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="shipping_methods",
)
SHIPPING_LIST_SHIPPING_ZONES = Method(
    "/mercato.v1.ShippingService/ListShippingZones",
    shipping_pb2.ListShippingZonesRequest,
    shipping_pb2.ListShippingZonesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="shipping_zones",
)
SHIPPING_UPDATE_SHIPPING_METHOD = Method(
    "/mercato.v1.ShippingService/UpdateShippingMethod",
    shipping_pb2.UpdateShippingMethodRequest,
    shipping_pb2.ShippingMethod,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHIPPING_UPDATE_SHIPPING_ZONE = Method(
    "/mercato.v1.ShippingService/UpdateShippingZone",
    shipping_pb2.UpdateShippingZoneRequest,
    shipping_pb2.ShippingZone,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
SHOP_GET_SHOP = Method(
    "/mercato.v1.ShopService/GetShop", shop_pb2.GetShopRequest, shop_pb2.Shop, Credentials.IF_ANY, reads=True, keyed=False
)
SHOP_UPDATE_SHOP = Method(
    "/mercato.v1.ShopService/UpdateShop", shop_pb2.UpdateShopRequest, shop_pb2.Shop, Credentials.ALWAYS, reads=False, keyed=True
)
TAX_ARCHIVE_TAX_CATEGORY = Method(
    "/mercato.v1.TaxService/ArchiveTaxCategory",
    tax_pb2.ArchiveTaxCategoryRequest,
    tax_pb2.TaxCategory,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
TAX_ARCHIVE_TAX_RATE = Method(
    "/mercato.v1.TaxService/ArchiveTaxRate", tax_pb2.ArchiveTaxRateRequest, tax_pb2.TaxRate, Credentials.ALWAYS, reads=False, keyed=True
)
TAX_CREATE_TAX_CATEGORY = Method(
    "/mercato.v1.TaxService/CreateTaxCategory",
    tax_pb2.CreateTaxCategoryRequest,
    tax_pb2.TaxCategory,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
TAX_CREATE_TAX_RATE = Method(
    "/mercato.v1.TaxService/CreateTaxRate", tax_pb2.CreateTaxRateRequest, tax_pb2.TaxRate, Credentials.ALWAYS, reads=False, keyed=True
)
TAX_GET_TAX_CATEGORY = Method(
    "/mercato.v1.TaxService/GetTaxCategory", tax_pb2.GetTaxCategoryRequest, tax_pb2.TaxCategory, Credentials.ALWAYS, reads=True, keyed=False
)
TAX_GET_TAX_RATE = Method(
    "/mercato.v1.TaxService/GetTaxRate", tax_pb2.GetTaxRateRequest, tax_pb2.TaxRate, Credentials.ALWAYS, reads=True, keyed=False
)
TAX_LIST_TAX_CATEGORIES = Method(
    "/mercato.v1.TaxService/ListTaxCategories",
    tax_pb2.ListTaxCategoriesRequest,
    tax_pb2.ListTaxCategoriesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="tax_categories",
)
TAX_LIST_TAX_RATES = Method(
    "/mercato.v1.TaxService/ListTaxRates",
    tax_pb2.ListTaxRatesRequest,
    tax_pb2.ListTaxRatesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="tax_rates",
)
TAX_UPDATE_TAX_CATEGORY = Method(
    "/mercato.v1.TaxService/UpdateTaxCategory",
    tax_pb2.UpdateTaxCategoryRequest,
    tax_pb2.TaxCategory,
    Credentials.ALWAYS,
    reads=False,
    keyed=True,
)
TAX_UPDATE_TAX_RATE = Method(
    "/mercato.v1.TaxService/UpdateTaxRate", tax_pb2.UpdateTaxRateRequest, tax_pb2.TaxRate, Credentials.ALWAYS, reads=False, keyed=True
)
USER_CREATE_ADDRESS = Method(
    "/mercato.v1.UserService/CreateAddress", user_pb2.CreateAddressRequest, user_pb2.Address, Credentials.ALWAYS, reads=False, keyed=True
)
USER_DELETE_ADDRESS = Method(
    "/mercato.v1.UserService/DeleteAddress", user_pb2.DeleteAddressRequest, user_pb2.Address, Credentials.ALWAYS, reads=False, keyed=True
)
USER_GET_ADDRESS = Method(
    "/mercato.v1.UserService/GetAddress", user_pb2.GetAddressRequest, user_pb2.Address, Credentials.ALWAYS, reads=True, keyed=False
)
USER_GET_ADMIN_ONLY = Method(
    "/mercato.v1.UserService/GetAdminOnly",
    user_pb2.GetAdminOnlyRequest,
    user_pb2.GetAdminOnlyResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
)
USER_GET_ME = Method("/mercato.v1.UserService/GetMe", user_pb2.GetMeRequest, user_pb2.User, Credentials.ALWAYS, reads=True, keyed=False)
USER_GET_USER = Method(
    "/mercato.v1.UserService/GetUser", user_pb2.GetUserRequest, user_pb2.User, Credentials.ALWAYS, reads=True, keyed=False
)
USER_LIST_ADDRESSES = Method(
    "/mercato.v1.UserService/ListAddresses",
    user_pb2.ListAddressesRequest,
    user_pb2.ListAddressesResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="addresses",
)
USER_LIST_USERS = Method(
    "/mercato.v1.UserService/ListUsers",
    user_pb2.ListUsersRequest,
    user_pb2.ListUsersResponse,
    Credentials.ALWAYS,
    reads=True,
    keyed=False,
    items="users",
)
USER_UPDATE_ADDRESS = Method(
    "/mercato.v1.UserService/UpdateAddress", user_pb2.UpdateAddressRequest, user_pb2.Address, Credentials.ALWAYS, reads=False, keyed=True
)
USER_UPDATE_ME = Method(
    "/mercato.v1.UserService/UpdateMe", user_pb2.UpdateMeRequest, user_pb2.User, Credentials.ALWAYS, reads=False, keyed=True
)
USER_UPDATE_USER = Method(
    "/mercato.v1.UserService/UpdateUser", user_pb2.UpdateUserRequest, user_pb2.User, Credentials.ALWAYS, reads=False, keyed=True
)
