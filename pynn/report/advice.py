"""What to do about a finding: a choice from one list, and its words."""

from __future__ import annotations

from enum import StrEnum


class Advice(StrEnum):
    """What helps. The words are in `ADVICE`, with the finding's evidence filled in."""

    AS_TRIED = "as_tried"
    LEAVE_OUT = "leave_out"
    FILL_IN = "fill_in"
    SKIP_OR_IMPUTE = "skip_or_impute"
    CORRECT_ROWS = "correct_rows"
    NORMALIZE_MISSING = "normalize_missing"
    DROP_EMPTY_COLUMNS = "drop_empty_columns"
    FINITE_WEIGHTS = "finite_weights"
    SCALE_OR_FLOAT64 = "scale_or_float64"
    FINITE_PARAMETERS = "finite_parameters"
    FINITE_STATE = "finite_state"
    COMPILE_AGAIN = "compile_again"
    COUNT_FROM_ZERO = "count_from_zero"
    MORE_UNITS = "more_units"
    CORRECT_LABELS = "correct_labels"
    SCALE_ROW = "scale_row"
    SCALE_OR_SLOWER = "scale_or_slower"
    SCALE_BOTH_OR_SLOWER = "scale_both_or_slower"
    SCALE_OR_SMALLER = "scale_or_smaller"
    SLOWER_OR_CLIP = "slower_or_clip"
    BUILD_AGAIN = "build_again"
    CHECK_FUNCTION = "check_function"
    LOOK_AT_ROW = "look_at_row"
    NORMALIZE = "normalize"
    SCALE_TARGET = "scale_target"
    DIVIDE_WEIGHTS = "divide_weights"
    DEFAULT_INITIALIZER = "default_initializer"
    LOWER_RATE = "lower_rate"
    RAISE_RATE = "raise_rate"
    RAISE_RATE_OR_FLOAT64 = "raise_rate_or_float64"
    FRESH_UNITS = "fresh_units"
    SMALLER_WEIGHTS = "smaller_weights"
    LET_GRADIENTS_PASS = "let_gradients_pass"
    CHECK_CASTS = "check_casts"
    LARGER_BATCHES = "larger_batches"
    DROP_ACTIVATION = "drop_activation"
    SIGMOID_LOSS_OR_UNITS = "sigmoid_loss_or_units"
    NUMBER_METRICS = "number_metrics"
    SIGMOID_LOSS_OR_DIVIDE = "sigmoid_loss_or_divide"
    TWO_SIGNS_OR_NUMBERS = "two_signs_or_numbers"
    MARK_MISSING = "mark_missing"
    KEEP_FLOAT64 = "keep_float64"
    DROP_COLUMNS = "drop_columns"
    CATEGORICAL_LAYER = "categorical_layer"
    CHECK_TARGET = "check_target"
    SHUFFLE = "shuffle"
    SHUFFLE_BEFORE_SPLIT = "shuffle_before_split"
    SAME_UNITS = "same_units"
    BALANCE = "balance"
    LOWER_DROPOUT = "lower_dropout"
    SPELL_AS_IN_TRAINING = "spell_as_in_training"
    CHECK_COLUMN = "check_column"
    ONE_SPELLING = "one_spelling"
    UNITS_FOR_CLASSES = "units_for_classes"
    CHECK_PAIRS = "check_pairs"
    FIND_LABEL_ERRORS = "find_label_errors"


ADVICE = {
    Advice.AS_TRIED: "Change {cure}.",
    Advice.LEAVE_OUT: "Leave these rows out: on_bad_rows='skip'.",
    Advice.FILL_IN: (
        "Leave these rows out with on_bad_rows='skip', or fill the cells in: on_bad_rows='impute', or "
        "pynn.Normalization(missing='mean') as the first layer."
    ),
    Advice.SKIP_OR_IMPUTE: "Leave these rows out with on_bad_rows='skip', or fill the cells in: on_bad_rows='impute'.",
    Advice.CORRECT_ROWS: "Leave these rows out, or correct them.",
    Advice.NORMALIZE_MISSING: (
        "Leave these rows out, or make pynn.Normalization(missing='mean') the model's first layer."
    ),
    Advice.DROP_EMPTY_COLUMNS: (
        "Drop {these_columns}. If the values come from dividing by a standard deviation of zero, let "
        "pynn.Normalization() scale X instead: it turns constant columns into 0."
    ),
    Advice.FINITE_WEIGHTS: "Give every row a finite weight.",
    Advice.SCALE_OR_FLOAT64: "Correct or rescale these numbers, or compute with dtype='float64'.",
    Advice.FINITE_PARAMETERS: "Set finite numbers, or build the model again.",
    Advice.FINITE_STATE: "Set finite means and variances >= 0, or build the model again.",
    Advice.COMPILE_AGAIN: "Compile the model again: the optimizer then starts from zero.",
    Advice.COUNT_FROM_ZERO: "These labels count from 1: pass y - 1.",
    Advice.MORE_UNITS: (
        "Give the last layer units={units_needed}, or renumber the classes: np.unique(y, return_inverse=True)."
    ),
    Advice.CORRECT_LABELS: "Correct these labels, or leave the rows out.",
    Advice.SCALE_ROW: "Scale this row like the rows the model was trained on, or predict in float64.",
    Advice.SCALE_OR_SLOWER: "Scale X, lower the learning rate, or start from smaller weights.",
    Advice.SCALE_BOTH_OR_SLOWER: "Scale X and y, or lower the learning rate.",
    Advice.SCALE_OR_SMALLER: "Scale X and y, or start from smaller weights.",
    Advice.SLOWER_OR_CLIP: "Lower the learning rate, or set global_clipnorm in the optimizer.",
    Advice.BUILD_AGAIN: "Call model.build(inputs) to start again: these weights are lost.",
    Advice.CHECK_FUNCTION: "Check what the {part} of your {function_kind} {function!r} returns for this row.",
    Advice.LOOK_AT_ROW: "Look at this row of {array}: correct it, clip the column, or leave the row out.",
    Advice.NORMALIZE: "Scale the columns of X: make pynn.Normalization() the first layer.",
    Advice.SCALE_TARGET: "Scale y: compile(..., target_scaling='standard') does it for losses such as mse.",
    Advice.DIVIDE_WEIGHTS: "Divide sample_weight by its mean.",
    Advice.DEFAULT_INITIALIZER: "Use the default initializer: leave kernel_initializer out.",
    Advice.LOWER_RATE: "Lower the learning rate to {suggested_learning_rate:.1g}.",
    Advice.RAISE_RATE: "Raise the learning rate: try {suggested_learning_rate:.1g}.",
    Advice.RAISE_RATE_OR_FLOAT64: "Raise the learning rate, or compute in float64.",
    Advice.FRESH_UNITS: (
        "Use the default initializer, lower the learning rate, or use another activation such as leaky_relu."
    ),
    Advice.SMALLER_WEIGHTS: "Use the default initializer, scale X, or use ReLU.",
    Advice.LET_GRADIENTS_PASS: (
        "Where many layers shrink the gradient, use ReLU and pynn.Residual blocks with LayerNormalization; otherwise "
        "scale X and y, or compute in float64."
    ),
    Advice.CHECK_CASTS: (
        "Check how X is made: dividing integers with // or casting fractions to integers turns every value into 0."
    ),
    Advice.LARGER_BATCHES: "Use larger batches, or LayerNormalization.",
    Advice.DROP_ACTIVATION: "Leave the last layer's activation out.",
    Advice.SIGMOID_LOSS_OR_UNITS: (
        "Use sigmoid_cross_entropy, which separates two classes with one unit, or give the last layer one unit for "
        "each class."
    ),
    Advice.NUMBER_METRICS: (
        "For numbers, use 'r2', 'mae' or 'mse'; for classes, use labels with the loss softmax_cross_entropy."
    ),
    Advice.TWO_SIGNS_OR_NUMBERS: "Use labels 0 and 1, or -1 and 1; to predict numbers, train with 'mse' or 'huber'.",
    Advice.SIGMOID_LOSS_OR_DIVIDE: (
        "If several classes can be right at once, use sigmoid_cross_entropy; otherwise divide each row of y by its sum."
    ),
    Advice.SPELL_AS_IN_TRAINING: (
        "Write categories as in training, in the same case and without extra spaces: {known!r} for {unknown!r}."
    ),
    Advice.CHECK_COLUMN: "Unknown categories all count as one: check that this is the column that was trained on.",
    Advice.ONE_SPELLING: "Write each class one way: str.strip() removes spaces at the ends.",
    Advice.UNITS_FOR_CLASSES: "Give the last layer units={classes}, or correct the labels.",
}

ADVICE |= {
    Advice.KEEP_FLOAT64: (
        "Keep {array} in float64 from where it is made, or subtract a constant there; pynn scales it from then on."
    ),
    Advice.MARK_MISSING: (
        "Replace the mark by NaN, and make pynn.Normalization(missing='mean') the first layer or fit with "
        "on_bad_rows='impute'."
    ),
    Advice.DROP_COLUMNS: "If {these_columns} would not be known when you predict, drop it from X.",
    Advice.CATEGORICAL_LAYER: "Make pynn.Categorical({at}) the first layer: it gives every category its own inputs.",
    Advice.CHECK_TARGET: "Check how y is made, or which rows were selected.",
    Advice.SHUFFLE: "Leave shuffle=False out, or shuffle the rows once before training.",
    Advice.SHUFFLE_BEFORE_SPLIT: (
        "Shuffle the rows before splitting them, with pynn.train_test_split for instance: validation_split holds out "
        "the last rows."
    ),
    Advice.SAME_UNITS: "Prepare validation data exactly like training data.",
    Advice.BALANCE: ("Use class_weight='balanced', and judge by a metric that counts every class, not by accuracy."),
    Advice.CHECK_PAIRS: "Check that row i of y belongs to row i of X: shuffle, filter and merge them together.",
    Advice.FIND_LABEL_ERRORS: "pynn.find_label_errors names these rows: correct their labels, or leave them out.",
    Advice.LOWER_DROPOUT: "rate is the share of values that Dropout removes: use Dropout({suggested_rate:.2g}).",
}

BY_HAND = {  # for callers that have no argument on_bad_rows
    Advice.FILL_IN: Advice.NORMALIZE_MISSING,
    Advice.SKIP_OR_IMPUTE: Advice.CORRECT_ROWS,
    Advice.LEAVE_OUT: Advice.CORRECT_ROWS,
}
RATELESS = {  # for optimizers that have no learning rate
    Advice.SCALE_OR_SLOWER: Advice.SCALE_OR_SMALLER,
    Advice.SCALE_BOTH_OR_SLOWER: Advice.SCALE_OR_SMALLER,
    Advice.SLOWER_OR_CLIP: Advice.SCALE_OR_SMALLER,
}
