"""How good the safety service is: a corpus of sentences, judged by the policy, in figures."""
