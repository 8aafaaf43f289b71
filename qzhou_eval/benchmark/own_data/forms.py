"""What the files of a user's own task look like, by its type: columns, options, and the metric that scores it."""

SPLIT = "test"  # of every own task
METRICS = {  # mteb's main scores of these types
    "Classification": "accuracy",
    "Clustering": "v_measure",
    "PairClassification": "max_accuracy",
    "Reranking": "map_at_1000",
    "Retrieval": "ndcg_at_10",
    "STS": "cosine_spearman",
}
OPTIONS = {"Classification": ("samples_per_label",)}

_RANKED = ("_id", "title", "text", "query-id", "corpus-id", "score")
COLUMNS = {
    "Classification": ("text", "label"),
    "Clustering": ("text", "label", "set"),
    "PairClassification": ("sentence1", "sentence2", "label"),
    "Reranking": ("query", "positive", "negative", *_RANKED, "corpus-ids"),
    "Retrieval": _RANKED,
    "STS": ("sentence1", "sentence2", "score"),
}
