"""Deployment of systems and load: the CDK app and the Kubernetes manifests."""
