"""Where the contents of attachments are kept: a local directory, or a bucket of any S3-compatible service."""
