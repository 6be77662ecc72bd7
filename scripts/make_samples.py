#!/usr/bin/env python3
"""Train a small network on drawn digits and keep three steps, as the samples do.

usage: make_samples.py [OUTDIR]     (default: samples/mnist beside this file)

Needs tensorflow-cpu; the result stands in the repository.  A network of 64-32-10
learns 8 x 8 pictures of digits with noise, through TF1's AdamOptimizer, and a TF1
Saver keeps the steps 100, 200 and 300 with a `checkpoint` file of relative paths.
"""
import os
import shutil
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf1 = tf.compat.v1

# Rows of 5 pixels, as on a calculator's display.
GLYPHS = ["01110 10001 10011 10101 11001 10001 01110", "00100 01100 00100 00100 00100 00100 01110",
          "01110 10001 00001 00110 01000 10000 11111", "11110 00001 00001 01110 00001 00001 11110",
          "00010 00110 01010 10010 11111 00010 00010", "11111 10000 11110 00001 00001 10001 01110",
          "00110 01000 10000 11110 10001 10001 01110", "11111 00001 00010 00100 01000 01000 01000",
          "01110 10001 10001 01110 10001 10001 01110", "01110 10001 10001 01111 00001 00010 01100"]


def pictures(count, rng):
    """Digits at random places of 8 x 8 pixels, with noise: (images, labels)."""
    labels = rng.randint(0, 10, count)
    images = rng.normal(0, 0.2, (count, 8, 8))
    for image, label in zip(images, labels):
        y, x = rng.randint(0, 2), rng.randint(0, 4)
        image[y:y + 7, x:x + 5] += [[int(c) for c in row] for row in GLYPHS[label].split()]
    return images.reshape(count, 64).astype("f4"), labels


def layer(name, value, size, activation):
    """A dense layer with variables NAME/kernel and NAME/bias."""
    with tf1.variable_scope(name):
        kernel = tf1.get_variable("kernel", [value.shape[1], size],
                                  initializer=tf1.glorot_uniform_initializer(seed=7))
        bias = tf1.get_variable("bias", [size], initializer=tf1.zeros_initializer())
    return activation(tf.matmul(value, kernel) + bias)


def network():
    """Placeholders, training step, accuracy."""
    images = tf1.placeholder(tf.float32, [None, 64])
    labels = tf1.placeholder(tf.int64, [None])
    hidden = layer("dense", images, 32, tf.nn.relu)
    logits = layer("logits", hidden, 10, tf.identity)
    loss = tf1.losses.sparse_softmax_cross_entropy(labels, logits)
    step = tf1.train.get_or_create_global_step()
    train = tf1.train.AdamOptimizer(0.005).minimize(loss, global_step=step)
    right = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    return images, labels, train, right


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "samples", "mnist")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    rng = np.random.RandomState(1)
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        images, labels, train, right = network()
        session.run(tf1.global_variables_initializer())
        saver = tf1.train.Saver(max_to_keep=3, save_relative_paths=True)
        for step in range(1, 301):
            x, y = pictures(64, rng)
            session.run(train, {images: x, labels: y})
            if step % 100 == 0:
                saver.save(session, os.path.join(out, "model.ckpt"), global_step=step,
                           write_meta_graph=False)
                x, y = pictures(1000, rng)
                print("step %d: accuracy %.3f" % (step, session.run(right, {images: x, labels: y})))


if __name__ == "__main__":
    main()
