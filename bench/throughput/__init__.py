"""`mailmux bench throughput`: how fast the service is, against what people use instead, in the same run."""
