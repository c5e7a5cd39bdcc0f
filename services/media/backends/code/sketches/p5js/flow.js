// Particles follow a field of noise and leave their colours behind.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const COUNT = $count;
const SCALE = $scale;
const SPEED = $speed;

class Mote {
  constructor(index) {
    this.index = index;
    this.tint = color(PALETTE[index % PALETTE.length]);
    this.weight = random(0.6, 2.6);
    this.restart();
  }

  restart() {
    this.place = createVector(random(width), random(height));
    this.life = random(60, 260);
  }

  move() {
    const turn = noise(this.place.x * SCALE, this.place.y * SCALE, frameCount * 0.003);
    const heading = turn * TWO_PI * 2.2;
    const before = this.place.copy();
    this.place.add(cos(heading) * SPEED, sin(heading) * SPEED);
    this.life -= 1;
    this.tint.setAlpha(70);
    stroke(this.tint);
    strokeWeight(this.weight);
    line(before.x, before.y, this.place.x, this.place.y);
    const outside = this.place.x < 0 || this.place.x > width || this.place.y < 0 || this.place.y > height;
    if (this.life < 0 || outside) {
      this.restart();
    }
  }
}

let motes = [];

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  noiseSeed(SEED);
  background(lerpColor(color(SKY[0]), color("#0d0d18"), 0.5));
  for (let i = 0; i < COUNT; i++) {
    motes.push(new Mote(i));
  }
}

function draw() {
  for (const mote of motes) {
    mote.move();
  }
  if (frameCount % 12 === 0) {
    const veil = lerpColor(color(SKY[0]), color("#0d0d18"), 0.5);
    veil.setAlpha(6);
    noStroke();
    fill(veil);
    rect(0, 0, width, height);
  }
}

function mousePressed() {
  background(SKY[1]);
}
