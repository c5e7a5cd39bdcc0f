"""Fakes of hosted APIs over real sockets, each as its public documentation describes it."""
