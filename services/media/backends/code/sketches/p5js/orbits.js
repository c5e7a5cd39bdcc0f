// Bodies around bodies; the traces they leave are the drawing.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const BODIES = $layers;
const STARS = $count;
const SPEED = $speed;

let bodies = [];
let layer;

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  layer = createGraphics(640, 640);
  layer.background(lerpColor(color(SKY[0]), color("#070b1c"), 0.86));
  layer.noStroke();
  for (let i = 0; i < STARS; i++) {
    layer.fill(255, 255, 255, random(40, 200));
    layer.circle(random(width), random(height), random(0.6, 2.4));
  }
  for (let i = 0; i < BODIES; i++) {
    bodies.push({
      far: 54 + ((i + 1) / BODIES) * 230,
      flat: random(0.5, 1),
      pace: random(0.004, 0.02) * (random(1) < 0.2 ? -1 : 1),
      phase: random(TWO_PI),
      big: random(10, 34),
      tone: PALETTE[i % PALETTE.length],
      ring: random(1) < 0.35
    });
  }
}

function draw() {
  image(layer, 0, 0);
  translate(width / 2, height / 2);
  noStroke();
  for (let ring = 8; ring > 0; ring--) {
    fill(255, 214, 120, 13);
    circle(0, 0, 60 + ring * 14);
  }
  fill(255, 226, 150);
  circle(0, 0, 60);
  layer.push();
  layer.translate(width / 2, height / 2);
  for (const body of bodies) {
    const turn = body.phase + frameCount * body.pace * SPEED;
    const left = cos(turn) * body.far;
    const upper = sin(turn) * body.far * body.flat;
    const trace = color(body.tone);
    trace.setAlpha(26);
    layer.fill(trace);
    layer.circle(left, upper, 3);
    fill(body.tone);
    circle(left, upper, body.big);
    fill(0, 0, 0, 60);
    arc(left, upper, body.big, body.big, turn - HALF_PI, turn + HALF_PI);
    if (body.ring) {
      noFill();
      stroke(body.tone);
      strokeWeight(2);
      ellipse(left, upper, body.big * 2, body.big * 0.5);
      noStroke();
    }
  }
  layer.pop();
}
