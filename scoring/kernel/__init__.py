"""Exact SHAP values by looking them up: what a leaf adds to each feature is tabulated once per model.

The derivation, which the rooms beside this page carry out. `trees` reads the model, `groups` decides which leaves share
a table, `tables` fills them, `compiled` looks rows up; `probes` are rows that the result is tried on.

**The game.** A coalition S of features is known, the others are not. The path-dependent value of a row x is what a tree
gives when a split on a feature of S sends x its own way, and a split on any other feature sends it both ways, weighted
by the share of the training rows that went there (Lundberg et al., 2018, arXiv:1802.03888; 2020, algorithm 1). Trees
add up, and so do the leaves of a tree. Take one leaf of value w. The splits on its path ask for some features; for the
i-th of those k features let

- z_i be the product, over the splits on it, of `rows that went on / rows that came`: LightGBM's `internal_count` and
  `leaf_count`, as its own `pred_contrib` uses them;
- o_i be 1 if x meets all that the path asks of this feature, else 0.

Then the leaf's value of a coalition is a product, one factor a feature:

    v(S) = w * prod(o_i for i in S) * prod(z_i for i not in S)

**Its Shapley values.** By definition, over the coalitions S of the other features of the path,

    phi_i = sum_S |S|! (k - 1 - |S|)! / k! * (v(S + i) - v(S))
          = w * (o_i - z_i) * sum_s s! (k - 1 - s)! / k! * c_s

where c_s sums, over the S of s features, the products above: the coefficient of y^s in prod_{j != i} (z_j + o_j y).
That is k - 1 multiplications of a polynomial by a factor of two terms, and no division, so a share of zero is no
special case (LightGBM's own way divides by shares to take a feature out again). Features that the path does not ask
for get nothing. A feature that stands on the path twice is one player with one z and one o.

**The table.** z and w belong to the model; of the row only o_1 ... o_k matter: k bits. So the k values of phi of all
2^k patterns are worked out when the model is loaded, and a row only finds its pattern. At depth 4 that is 16 patterns
of 4 values for a leaf.

**Leaves that share.** Leaves below one node n agree on the path to n. Their values of phi add up, so one table serves
them all, with a bit for each feature on the path to n and one for each split below n (does the row go left?). Siblings
share for nothing: the bit of their last split replaces one of the path. Four leaves below a node of depth 2 take
2 + 3 = 5 bits: 32 patterns of 5 values instead of 4 leaves with 16 patterns of 4, and of the 16 numbers that a row had
to fetch 5 remain. `groups` joins leaves as long as a table does not outgrow those that it replaces.

**Missing values and categories.** A split is made one comparison, `low < x <= high`, by preparing the column that it
looks at: where NaN (or zero, by the split's `missing_type`) goes left it is put below every threshold, where it goes
right above them; a categorical split gets a column of its own that is 0 for its categories and 1 for all else. All
splits that treat a feature's missing values alike share a column, and repeated splits of a path become one interval.

**The margin.** Beside each pattern's phi stands what the leaves really give for it: w where the row ends in that leaf,
else 0. Added up tree by tree it is LightGBM's raw margin, to the bit, and independent of all phi. By efficiency
`base + sum(phi)` must be that number but for rounding; `scoring.explain` holds every row to it.

**The same bits.** For one row the order of additions is fixed by the model: table by table, feature by feature.
Neither blocks, nor other rows, nor threads change it, and nothing but additions is done to a row.
"""
