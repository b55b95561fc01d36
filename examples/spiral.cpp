// Learns which arm of a spiral a point is on, with the wrapper in pynn.hpp; saves, loads and predicts: spiral MODEL
#include "pynn.hpp"

#include <cmath>
#include <cstdio>

int main(int argc, char **argv) try {
  if (argc != 2) return 2;
  const int arms = 3, points = 100;
  std::vector<float> x;
  std::vector<int64_t> y;
  for (int arm = 0; arm < arms; arm++)
    for (int i = 0; i < points; i++) {
      const double r = i / double(points), angle = 4 * r + arm * 2 * 3.14159265 / arms;
      x.push_back(static_cast<float>(r * std::cos(angle)));
      x.push_back(static_cast<float>(r * std::sin(angle)));
      y.push_back(arm);
    }

  const pynn::Context context(1);
  pynn::Model model(context, 2, {pynn::dense(32, "tanh"), pynn::dense(arms)}, "softmax_cross_entropy");
  pynn::Trainer trainer(model, "adam", 0.02, arms * points);
  double loss = 0;
  for (int step = 0; step < 400; step++) loss = trainer.step(x, y);
  model.save(argv[1]);

  const pynn::Model loaded(context, argv[1]);
  pynn::Predictor predict(loaded);
  const std::vector<float> p = predict(x);
  int right = 0;
  for (int i = 0; i < arms * points; i++) {
    int best = 0;
    for (int j = 1; j < arms; j++) best = p[size_t(i * arms + j)] > p[size_t(i * arms + best)] ? j : best;
    right += best == y[size_t(i)];
  }
  std::printf("loss %.4f, %d of %d right\n", loss, right, arms * points);
  try {
    pynn::Model bad(context, 2, {pynn::dense(3, "rlu")}, "mse");
  } catch (const pynn::Error &error) {
    std::printf("and a wrong name throws: %s\n", error.what());
  }
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
