"""`mailmux bench routing`: the chooser against what others do and against one who knows the future."""
