"""What runs the harness against the real thing: the CDK app and the Kubernetes manifests."""
