"""The API group of Overbook's custom resources."""

from typing import Final

GROUP: Final = "overbook.dev"


VERSION: Final = "v1alpha1"


API_VERSION: Final = f"{GROUP}/{VERSION}"
