"""The HTTP interfaces: LibreTranslate's, DeepL's, our own, and what they share."""
