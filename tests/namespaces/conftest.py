from namespaces import mended, pcs

__all__ = ["mended", "pcs"]
