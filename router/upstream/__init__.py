"""The way to providers: one attempt in, one answer or classified error out. The only importer of LiteLLM."""
