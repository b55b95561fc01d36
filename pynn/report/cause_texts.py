"""The sentences of causes that `diagnose` tries, and of what data cannot give."""

from __future__ import annotations

CAUSES = {
    "cause:scale_of_inputs": (
        "X is not of size 1 around 0, as layers expect: this column has mean {mean:.3g} and standard "
        "deviation {std:.3g}"
    ),
    "cause:mark_for_missing": (
        "{n_rows} rows have {value:.6g} in this column, {widths:.2g} times as far from its median as the "
        "others: a mark for a missing value"
    ),
    "cause:outlying_cells": (
        "{n_rows} cells of this column lie {widths:.2g} times as far from its median as the others; the "
        "farthest is {value:.4g}"
    ),
    "cause:scale_of_targets": (
        "y is of size {size:.3g} with standard deviation {std:.3g}, and the first predictions are of size 1"
    ),
    "cause:outlying_targets": (
        "{n_rows} targets lie up to {widths:.2g} times the width of the middle half of y from it, and the "
        "loss squares that"
    ),
    "cause:single_unit_softmax": (
        "the last layer is a softmax of one unit, which is 1 for every row: nothing is learned"
    ),
    "cause:output_range_mismatch": (
        "the last activation, {activation}, gives numbers in {low:g} ... {high:g}, and y goes from "
        "{y_min:.3g} to {y_max:.3g}"
    ),
    "cause:loss_mismatch": "the last activation, {activation}, and the loss {loss} do not suit these targets",
    "cause:row_weights": "{name} silences some rows, or all of them: weights have a mean of {mean_weight:.3g}",
    "cause:class_sizes": "the most frequent class has {ratio:.0f} times the rows of the rarest",
    "cause:row_order": "rows are trained on in the order in which they stand, and that order follows their targets",
    "cause:no_activation": "no activation stands between the layers: together they are one linear map",
    "cause:hidden_softmax": "a hidden layer applies {activation}, which leaves its units next to nothing each",
    "cause:squashing_layers": "{n_squashing} hidden layers apply {activation}, and each makes the gradient smaller",
    "cause:deep_layers": "{hidden} hidden layers follow one another, and each changes the size of the gradient",
    "cause:equal_weights": "the units of a layer start equal ({initializer}), so they all learn the same",
    "cause:initial_size": (
        "the initial weights ({initializer}) are not of the size that the layers need, by a factor of about "
        "{factor:.2g}"
    ),
    "cause:narrow_layer": "a hidden layer has {units} units, and all that is known of a row must pass them",
    "cause:batch_statistics": "BatchNormalization takes means and variances of batches of {batch_size} rows",
    "cause:penalties": "penalties, decay or constraints of up to {largest:.3g} hold the weights near 0",
    "cause:dropout": (
        "Dropout({rate:g}) sets {rate:.0%} of the values to 0: the rate is the share dropped, not the share kept"
    ),
    "cause:noise": "noise of standard deviation {stddev:.3g} drowns what it is added to",
    "cause:schedule": (
        "{schedule} leaves {rate_left:.2g} of its largest learning rate in the mean of the {steps} steps"
    ),
    "cause:clipping": "global_clipnorm={global_clipnorm:g} cuts every gradient down: steps are too small",
    "cause:momentum": "{name}={value:g} keeps a step going for hundreds of others",
    "cause:epsilon": "{name}={value:g} of {optimizer} sets the size of the steps; usual is {usual:g}",
    "cause:learning_rate": "a learning rate of {learning_rate:.3g} is too {direction} for this network",
    "cause:few_steps": "the run makes {steps} updates, of {batch_size} rows each: too few to get anywhere",
    "limit:one_class": "all {n_rows} rows have the class {class}: there is nothing to tell apart",
    "limit:absent_classes": (
        "{n_absent} classes of the last layer's {units} have no row to train on, class {absent[0]} for one: "
        "rows may have been cut from sorted data"
    ),
    "limit:rare_classes": (
        "the most frequent class has {ratio:.0f} times the rows of the rarest, which has {fewest}; "
        "{recall:.0%} of the unseen rows of class {class} are recognized"
    ),
    "limit:independent": (
        "y does not depend on X, as far as can be seen: of {n_held} unseen rows the best of {n_runs} runs "
        "knows {known:.0%} of what there is to know beyond the mean or the most frequent class, the nearest row "
        "{nearest:.0%} ({nearest_permuted:.0%} after y was permuted), a linear model {linear:.0%} "
        "({linear_permuted:.0%})"
    ),
    "limit:only_baselines": (
        "y depends on X, and no run learns it: of {n_held} unseen rows the best of {n_runs} knows {known:.0%} of what "
        "there is to know, the nearest row {nearest:.0%} ({nearest_permuted:.0%} after y was permuted), a linear "
        "model {linear:.0%} ({linear_permuted:.0%})"
    ),
    "limit:noise": (
        "{share:.0%} of the labels contradict the surest third of the predictions of unseen rows; clean "
        "labels hardly ever do"
    ),
}
PROOFS = {
    "alone": "Tried: this change alone closes {closed:.0%} of the gap to a healthy run",
    "together": "Tried: with the changes named beside it, this closes {closed:.0%} of the gap to a healthy run",
}
