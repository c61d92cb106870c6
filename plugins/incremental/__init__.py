"""Class-incremental methods that live on exemplars: networks that grow, and their losses."""
