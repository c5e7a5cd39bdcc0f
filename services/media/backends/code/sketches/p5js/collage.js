// Words cut out, paper torn: every few moments chance puts one of them elsewhere.
const SEED = $seed;
const WORDS = $words;
const PALETTE = $accents;
const PAPER = "$paper";
const SCRAPS = $count;
const FACES = ["serif", "sans-serif", "monospace", "cursive"];

let scraps = [];

class Scrap {
  constructor(order) {
    this.order = order;
    this.word = WORDS[order % WORDS.length];
    this.tint = PALETTE[order % PALETTE.length];
    this.edge = [];
    for (let i = 0; i < 14; i++) {
      this.edge.push(random(0.82, 1.12));
    }
    this.fall();
  }

  fall() {
    this.left = random(width);
    this.upper = random(height);
    this.tilt = random(-0.7, 0.7);
    this.big = random(18, 76);
    this.isText = random(1) < 0.6;
    this.face = FACES[floor(random(FACES.length))];
  }

  show() {
    push();
    translate(this.left + noise(this.order, frameCount * 0.02) * 8, this.upper);
    rotate(this.tilt);
    if (this.isText) {
      textFont(this.face);
      textSize(this.big);
      textAlign(CENTER, CENTER);
      const wide = textWidth(this.word);
      noStroke();
      fill("#fdfaf0");
      rect(-wide / 2 - 6, -this.big * 0.6, wide + 12, this.big * 1.2);
      fill(this.order % 3 === 0 ? this.tint : "#1c1a18");
      text(this.word, 0, 0);
    } else {
      stroke("#fdfaf0");
      strokeWeight(4);
      fill(this.tint);
      beginShape();
      for (let i = 0; i < 14; i++) {
        const turn = (i / 14) * TWO_PI;
        vertex(cos(turn) * this.big * this.edge[i] * 1.3, sin(turn) * this.big * this.edge[i]);
      }
      endShape(CLOSE);
    }
    pop();
  }
}

function setup() {
  createCanvas(640, 640);
  frameRate(24);
  randomSeed(SEED);
  noiseSeed(SEED);
  for (let i = 0; i < SCRAPS; i++) {
    scraps.push(new Scrap(i));
  }
}

function draw() {
  background(PAPER);
  stroke(0, 0, 0, 16);
  strokeWeight(1);
  for (let y = 14; y < height; y += 14) {
    line(0, y, width, y);
  }
  if (frameCount % 9 === 0) {
    const drawn = floor(random(scraps.length));
    scraps[drawn].fall();
    const taken = scraps.splice(drawn, 1);
    scraps.push(taken[0]);
  }
  for (const scrap of scraps) {
    scrap.show();
  }
}
