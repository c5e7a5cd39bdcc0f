// Plants that grow, branch, flower, and sway in a wind of noise.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const GROUND = "$ground";
const PLANTS = $count;
const PETALS = $petals;
const SPEED = $speed;

let plants = [];

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  noiseSeed(SEED);
  for (let i = 0; i < PLANTS; i++) {
    plants.push({
      foot: ((i + 0.5) / PLANTS) * width + random(-26, 26),
      high: random(150, 330),
      start: random(0, 90),
      tone: PALETTE[i % PALETTE.length],
      leaves: floor(random(2, 6)),
      turn: random(TWO_PI)
    });
  }
}

function backdrop() {
  for (let y = 0; y < height; y += 4) {
    const part = y / height;
    stroke(lerpColor(color(SKY[0]), color(SKY[2]), part));
    strokeWeight(4);
    line(0, y, width, y);
  }
  noStroke();
  fill(GROUND);
  beginShape();
  vertex(0, height);
  for (let x = 0; x <= width + 16; x += 16) {
    vertex(x, height * 0.84 + noise(x * 0.008) * 40 - 20);
  }
  vertex(width, height);
  endShape(CLOSE);
}

function blossom(size, tone, turn) {
  noStroke();
  fill(tone);
  for (let petal = 0; petal < PETALS; petal++) {
    push();
    rotate(turn + (petal * TWO_PI) / PETALS);
    ellipse(size * 0.62, 0, size, size * 0.52);
    pop();
  }
  fill(PALETTE[1]);
  circle(0, 0, size * 0.6);
}

function plantOf(plant) {
  const grown = constrain((frameCount * SPEED - plant.start) / 150, 0, 1);
  const wind = (noise(plant.foot * 0.01, frameCount * 0.012) - 0.5) * 90 * grown;
  const tall = plant.high * grown * (2 - grown);
  push();
  translate(plant.foot, height * 0.86);
  noFill();
  stroke(40, 96, 58);
  strokeWeight(4);
  bezier(0, 0, 0, -tall * 0.4, wind * 0.4, -tall * 0.7, wind, -tall);
  for (let leaf = 1; leaf <= plant.leaves; leaf++) {
    const part = leaf / (plant.leaves + 1);
    const side = leaf % 2 === 0 ? 1 : -1;
    push();
    translate(bezierPoint(0, 0, wind * 0.4, wind, part), -tall * part);
    rotate(side * 0.6);
    noStroke();
    fill(62, 134, 74);
    ellipse(side * 15 * grown, 0, 32 * grown, 10 * grown);
    pop();
  }
  if (grown > 0.55) {
    translate(wind, -tall);
    blossom(34 * (grown - 0.55) * 2.2, plant.tone, plant.turn + frameCount * 0.003);
  }
  pop();
}

function draw() {
  backdrop();
  for (const plant of plants) {
    plantOf(plant);
  }
}
