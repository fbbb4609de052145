#include "training/example.h"

#include <algorithm>

namespace retort::training {

int64_t Example::num_targets() const {
  return std::count_if(loss_weights.begin(), loss_weights.end(), [](float weight) { return weight != 0; });
}

}  // namespace retort::training
