// A GRU layer and its gradient, where its matrices fit the first cache: all steps of a few sequences at once.
//
//   r, z = sigmoid(W x + b + U h + c);  n = tanh(W x + b + r (U h + c));  h' = n + z (h - n)
//
// Step t of sequence i is row base[i] + t * stride of each array.

#include <algorithm>

#include "vector.h"

namespace {

constexpr int64_t ROWS = 8;  // sequences at once, for which a weight is read once

struct Layer {
  int64_t sequences, stride, inputs, units, backwards, threads;
};
struct Forward {
  const Layer& layer;
  const int64_t *base, *lengths;
  // x (rows, inputs); W and U transposed, (inputs or units, padded(3 units)), and biases of that width
  const float *x, *of_input, *of_state, *input_bias, *state_bias;
  float *output, *kept;  // (rows, units); r, z, n and U h + c of n, (rows, 4 units)
};
struct Backward {
  const Layer& layer;
  const int64_t *base, *lengths;
  const float *grad, *of_input, *of_state;  // W and U: (3 units, padded(inputs or units))
  const float *output, *kept;
  float *to_gates, *to_inner, *to_x;  // gradients of W x + b (rows, 3 units), of U h + c of n (rows, units), of x
};

// out[row] = start[row] + in[row] @ weight. weight (inputs, width), width a multiple of LANES; step: of rows of start.
INLINE void products(const float* in, int64_t stride, const float* weight, const float* start, int64_t step,
                     int64_t inputs, int64_t width, float* out) {
  for (int64_t j = 0; j < width; j += LANES)
    tile<ROWS, 1>(in, stride, 1, weight + j, width, inputs, start + j, step, out + j);
}

// Memory of one block, each part with a whole vector more at its end.
class Scratch {
 public:
  explicit Scratch(int64_t size) : memory_(size, 0.0f), next_(memory_.data()) {}
  float* take(int64_t size) {
    float* part = next_;
    next_ += size + LANES;
    return part;
  }

 private:
  std::vector<float> memory_;
  float* next_;
};

INLINE int64_t row_of(const Layer& layer, int64_t base, int64_t length, int64_t step) {
  return base + (layer.backwards ? length - 1 - step : step) * layer.stride;
}

void run(const Forward& job, int64_t begin, int64_t rows) {
  const Layer& layer = job.layer;
  const int64_t inputs = layer.inputs, units = layer.units, width = padded(3 * units), wide = padded(units);
  const int64_t length = job.lengths[begin];
  Scratch scratch(ROWS * (inputs + units + 2 * width) + 4 * wide + 8 * LANES + ROWS * LANES);
  float *x = scratch.take(ROWS * inputs), *state = scratch.take(ROWS * (units + LANES));
  float *given = scratch.take(ROWS * width), *hidden = scratch.take(ROWS * width), *part = scratch.take(4 * wide);
  const int64_t apart = units + LANES;
  for (int64_t step = 0; step < length; step++) {
    for (int64_t row = 0; row < rows; row++)
      copy(x + row * inputs, job.x + row_of(layer, job.base[begin + row], length, step) * inputs, inputs);
    products(x, inputs, job.of_input, job.input_bias, 0, inputs, width, given);
    products(state, apart, job.of_state, job.state_bias, 0, units, width, hidden);
    for (int64_t row = 0; row < rows; row++) {
      const int64_t place = row_of(layer, job.base[begin + row], length, step);
      const float *from_x = given + row * width, *from_h = hidden + row * width;
      float* h = state + row * apart;
      for (int64_t j = 0; j < units; j += LANES) {
        Vector r, z, n, inner, before, more;
        load(r, from_x + j), load(more, from_h + j);
        r += more;
        sigmoid(r);
        load(z, from_x + units + j), load(more, from_h + units + j);
        z += more;
        sigmoid(z);
        load(n, from_x + 2 * units + j), load(inner, from_h + 2 * units + j);
        n = 2.0f * (n + r * inner);  // tanh(a) = 2 sigmoid(2 a) - 1
        sigmoid(n);
        n = 2.0f * n - 1.0f;
        load(before, h + j);
        store(h + j, n + z * (before - n));
        store(part + j, r), store(part + wide + j, z), store(part + 2 * wide + j, n), store(part + 3 * wide + j, inner);
      }
      for (int64_t gate = 0; gate < 4; gate++) copy(job.kept + (place * 4 + gate) * units, part + gate * wide, units);
      copy(job.output + place * units, h, units);
    }
  }
}

void run(const Backward& job, int64_t begin, int64_t rows) {
  const Layer& layer = job.layer;
  const int64_t inputs = layer.inputs, units = layer.units, wide = padded(units), width = padded(inputs);
  const int64_t length = job.lengths[begin], apart = 3 * units + LANES;
  Scratch scratch(ROWS * (wide + width + 2 * apart) + 7 * wide + width + wide + 8 * LANES);
  float *carried = scratch.take(ROWS * wide), *to_x = scratch.take(ROWS * width), *zero = scratch.take(width + wide);
  float *of_x = scratch.take(ROWS * apart), *of_h = scratch.take(ROWS * apart), *part = scratch.take(7 * wide);
  for (int64_t step = length - 1; step >= 0; step--) {
    for (int64_t row = 0; row < rows; row++) {
      const int64_t base = job.base[begin + row], place = row_of(layer, base, length, step);
      for (int64_t gate = 0; gate < 4; gate++) copy(part + gate * wide, job.kept + (place * 4 + gate) * units, units);
      copy(part + 4 * wide, step ? job.output + row_of(layer, base, length, step - 1) * units : zero, units);
      copy(part + 5 * wide, job.grad + place * units, units);
      float *carry = carried + row * wide, *gates = of_x + row * apart, *inner_too = of_h + row * apart;
      // Gates are written one after the other: what a vector writes beyond r and z, the next one replaces.
      for (int64_t gate = 0; gate < 3; gate++)
        for (int64_t j = 0; j < units; j += LANES) {
          Vector r, z, n, inner, before, grad, more;
          load(z, part + wide + j), load(n, part + 2 * wide + j), load(grad, part + 5 * wide + j);
          load(more, carry + j);
          grad += more;
          const Vector to_n = grad * (1.0f - z) * (1.0f - n * n);
          if (gate == 0) {
            load(r, part + j), load(inner, part + 3 * wide + j);
            store(gates + j, to_n * inner * r * (1.0f - r));
            store(part + 6 * wide + j, to_n * r);
          } else if (gate == 1) {
            load(before, part + 4 * wide + j);
            store(gates + units + j, grad * (before - n) * z * (1.0f - z));
          } else {
            store(gates + 2 * units + j, to_n);
            store(carry + j, grad * z);
          }
        }
      copy(inner_too, gates, 2 * units);
      copy(inner_too + 2 * units, part + 6 * wide, units);
      copy(job.to_gates + place * 3 * units, gates, 3 * units);
      copy(job.to_inner + place * units, part + 6 * wide, units);
    }
    products(of_h, apart, job.of_state, carried, wide, 3 * units, wide, carried);
    products(of_x, apart, job.of_input, zero, 0, 3 * units, width, to_x);
    for (int64_t row = 0; row < rows; row++)
      copy(job.to_x + row_of(layer, job.base[begin + row], length, step) * inputs, to_x + row * width, inputs);
  }
}

template <class Job>
void run_all(const Job& job) {
  std::vector<std::pair<int64_t, int64_t>> blocks;  // first sequence and number: of one length
  for (int64_t i = 0, end; i < job.layer.sequences; i = end) {
    for (end = i + 1; end < std::min(i + ROWS, job.layer.sequences) && job.lengths[end] == job.lengths[i];) end++;
    blocks.emplace_back(i, end - i);
  }
  in_threads(blocks.size(), job.layer.threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) run(job, blocks[i].first, blocks[i].second);
  });
}

}  // namespace

extern "C" {

void gru_forward(const Layer* layer, const int64_t* base, const int64_t* lengths, const float* x, const float* of_input,
                 const float* of_state, const float* input_bias, const float* state_bias, float* output, float* kept) {
  run_all(Forward{*layer, base, lengths, x, of_input, of_state, input_bias, state_bias, output, kept});
}

void gru_backward(const Layer* layer, const int64_t* base, const int64_t* lengths, const float* grad,
                  const float* of_input, const float* of_state, const float* output, const float* kept, float* to_gates,
                  float* to_inner, float* to_x) {
  run_all(Backward{*layer, base, lengths, grad, of_input, of_state, output, kept, to_gates, to_inner, to_x});
}

}  // extern "C"
