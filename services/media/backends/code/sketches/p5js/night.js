// A sky that turns: stars that twinkle, a moon, now and then one that falls.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const STARS = $count;
const SPEED = $speed;

let stars = [];
let fall = { x: 0, y: 0, left: 0 };

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  noiseSeed(SEED);
  for (let i = 0; i < STARS; i++) {
    stars.push({
      far: sqrt(random(1)) * width * 0.85,
      turn: random(TWO_PI),
      size: pow(random(1), 4) * 5 + 0.8,
      beat: random(0.02, 0.09),
      tone: random(1) < 0.2 ? PALETTE[i % PALETTE.length] : "#fff8e7"
    });
  }
}

function moon(x, y, r) {
  noStroke();
  for (let ring = 9; ring > 0; ring--) {
    fill(255, 246, 214, 7);
    circle(x, y, r * 2 + ring * 22);
  }
  fill("#fbf3d5");
  circle(x, y, r * 2);
  fill(214, 202, 170, 120);
  circle(x - r * 0.3, y - r * 0.2, r * 0.45);
  circle(x + r * 0.35, y + r * 0.3, r * 0.6);
}

function draw() {
  for (let y = 0; y < height; y += 4) {
    noStroke();
    fill(lerpColor(color(SKY[0]), color(SKY[2]), pow(y / height, 2)));
    rect(0, y, width, 5);
  }
  push();
  translate(width * 0.5, height * 0.9);
  rotate(frameCount * 0.0006 * SPEED);
  for (const star of stars) {
    const shine = 150 + 105 * sin(frameCount * star.beat + star.turn * 7);
    const tone = color(star.tone);
    tone.setAlpha(shine);
    fill(tone);
    circle(cos(star.turn) * star.far, sin(star.turn) * star.far, star.size);
  }
  pop();
  moon(width * 0.72, height * 0.24, 46);
  if (fall.left <= 0 && random(1) < 0.008) {
    fall = { x: random(width), y: random(height * 0.3), left: 40 };
  }
  if (fall.left > 0) {
    fall.left -= 1;
    fall.x += 9;
    fall.y += 4;
    stroke(255, 255, 255, fall.left * 6);
    strokeWeight(2);
    line(fall.x, fall.y, fall.x - 46, fall.y - 20);
  }
  noStroke();
  fill(12, 14, 28);
  beginShape();
  vertex(0, height);
  for (let x = 0; x <= width + 12; x += 12) {
    vertex(x, height * 0.88 - noise(x * 0.006, 4) * 90);
  }
  vertex(width, height);
  endShape(CLOSE);
}
