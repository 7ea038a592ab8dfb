"""Exact SHAP values by table look-up: what a leaf adds to each feature is computed once per model.

`trees` reads the model, `groups` decides which leaves share a table, `tables` computes the tables, `compiled` looks up
rows, and `probes` creates rows for checks. This docstring derives the method.

**The game.** A coalition S of features is known, the other features are not. The path-dependent value of a row x is the
output of a tree if a split on a feature of S sends x to its own side, and a split on any other feature sends it to both
sides, weighted by the share of training rows on each (Lundberg et al., 2018, arXiv:1802.03888; 2020, algorithm 1).
Trees add up, and so do the leaves of a tree. Take one leaf of value w. The splits on its path use k features. For the
i-th feature, let

- z_i be the product of `rows that continued / rows that arrived` over its splits: LightGBM's `internal_count` and
  `leaf_count`, in the same way as its own `pred_contrib`;
- o_i be 1 if x meets all conditions of the path on this feature, else 0.

Then the leaf's value of a coalition is a product with one factor per feature:

    v(S) = w * prod(o_i for i in S) * prod(z_i for i not in S)

**Its Shapley values.** By definition, over the coalitions S of the other features of the path,

    phi_i = sum_S |S|! (k - 1 - |S|)! / k! * (v(S + i) - v(S))
          = w * (o_i - z_i) * sum_s s! (k - 1 - s)! / k! * c_s

where c_s is the sum of the products above over all S with s features: the coefficient of y^s in
prod_{j != i} (z_j + o_j y). This takes k - 1 multiplications of a polynomial by a factor with two terms and no
division, so a share of zero is not a special case (LightGBM's algorithm divides by shares to remove a feature).
Features that are not on the path get zero. A feature that occurs on the path twice is one player with one z and one o.

**The table.** z and w depend on the model only. Of the row, only o_1 ... o_k matter: k bits. Therefore the k values of
phi of all 2^k patterns are computed when the model is loaded, and explaining a row is a look-up of its pattern. At
depth 4, a leaf has 16 patterns of 4 values.

**Leaves that share a table.** All leaves below a node n have the path to n in common. Their values of phi add up, so
one table is enough for all of them. It has a bit for each feature on the path to n and one for each split below n (does
the row go left?). For siblings this costs nothing, because the bit of their last split replaces one of the path. Four
leaves below a node of depth 2 need 2 + 3 = 5 bits: 32 patterns of 5 values instead of 4 leaves with 16 patterns of 4
values, and a row reads 5 numbers instead of 16. `groups` joins leaves as long as the table does not become larger than
those that it replaces.

**Missing values and categories.** Each split becomes one comparison, `low < x <= high`, on a prepared column. If NaN
(or zero, by the split's `missing_type`) goes left, it is replaced by a value below every threshold; if it goes right,
by a value above them. A categorical split gets its own column, which is 0 for its categories and 1 for all other
values. All splits that treat a feature's missing values in the same way share a column, and repeated splits of a path
become one interval.

**The margin.** Next to each pattern's phi, the table has the leaves' actual output for it: w if the row ends in that
leaf, else 0. Added up tree by tree, this is LightGBM's raw margin, equal to the bit and independent of all phi. By
efficiency, `base + sum(phi)` must equal this number except for rounding; `scoring.explain` checks this for every row.

**Equal bits.** For one row, the model fixes the order of additions: table by table, feature by feature. Blocks, other
rows and threads do not change it, and no operation but addition is applied to a row.
"""
