// In a file of its own, because the page's Content-Security-Policy allows no inline scripts.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null, // or the document would be sent to a validator on the internet
});
