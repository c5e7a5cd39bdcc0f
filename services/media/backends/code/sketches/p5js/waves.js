// Layer behind layer of water, a light above it and its path on the waves.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const GROUND = "$ground";
const LAYERS = $layers;
const SPEED = $speed;
const BOATS = $count;

function setup() {
  createCanvas(640, 640);
  noiseSeed(SEED);
}

function sky() {
  noFill();
  strokeWeight(2);
  for (let y = 0; y < height * 0.6; y += 2) {
    const part = y / (height * 0.6);
    const high = lerpColor(color(SKY[0]), color(SKY[1]), min(1, part * 2));
    stroke(part < 0.5 ? high : lerpColor(color(SKY[1]), color(SKY[2]), part * 2 - 1));
    line(0, y, width, y);
  }
}

function light(x, y) {
  noStroke();
  const glow = color(PALETTE[1]);
  for (let r = 220; r > 60; r -= 16) {
    glow.setAlpha(9);
    fill(glow);
    circle(x, y, r);
  }
  glow.setAlpha(255);
  fill(glow);
  circle(x, y, 62);
}

function swell(x, layer) {
  const t = frameCount * 0.01 * SPEED;
  const calm = noise(x * 0.006 + layer * 9, t + layer) - 0.5;
  return calm * (26 + layer * 9) + sin(x * 0.018 + t * 3 + layer) * (3 + layer * 1.6);
}

function boat(x, layer, base) {
  push();
  translate(x, base + swell(x, layer));
  rotate((swell(x + 12, layer) - swell(x - 12, layer)) * 0.02);
  noStroke();
  fill(PALETTE[layer % PALETTE.length]);
  triangle(-3, -8, -3, -58, 30, -10);
  fill(SKY[0]);
  quad(-28, -4, 30, -4, 18, 12, -18, 12);
  pop();
}

function draw() {
  sky();
  light(width * 0.68, height * 0.26);
  for (let layer = 0; layer < LAYERS; layer++) {
    const base = height * (0.46 + (0.5 * layer) / LAYERS);
    const tone = lerpColor(color(SKY[2]), color(GROUND), (layer + 1) / LAYERS);
    if (layer < BOATS) {
      boat((frameCount * (0.3 + layer * 0.2) + layer * 260) % (width + 120) - 60, layer, base);
    }
    noStroke();
    fill(tone);
    beginShape();
    vertex(0, height);
    for (let x = 0; x <= width; x += 8) {
      vertex(x, base + swell(x, layer));
    }
    vertex(width, height);
    endShape(CLOSE);
  }
}
