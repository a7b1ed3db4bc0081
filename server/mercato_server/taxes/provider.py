"""The interface of a provider of taxes."""

from typing import Protocol

from mercato_server.domain.provided_taxes import ProvidedTaxes, TaxQuestion


class TaxProvider(Protocol):
    """Names the taxes of a cart. It may be asked the same question again."""

    async def taxes(self, question: TaxQuestion) -> ProvidedTaxes:
        """Return the taxes of all that the question has; raises TaxProviderUnavailable. Never called within a transaction."""

    async def close(self) -> None:
        """Close its connections."""
