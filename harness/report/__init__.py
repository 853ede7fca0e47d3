"""The pages, pictures and texts a person looks at: pure functions of an Evidence, nothing here judges or runs."""
