"""One module per email provider. Siblings never import each other; what they share is in the modules beside them."""
