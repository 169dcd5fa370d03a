"""The HTTP APIs: LibreTranslate's, DeepL's and our own."""
