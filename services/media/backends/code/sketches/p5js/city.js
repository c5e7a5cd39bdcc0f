// Houses with windows that go on and off, and rain before them.
const SEED = $seed;
const PALETTE = $accents;
const SKY = $sky;
const ROWS = $layers;
const DROPS = $count;
const SPEED = $speed;

let houses = [];
let drops = [];

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  for (let row = 0; row < ROWS; row++) {
    let x = -random(40);
    while (x < width) {
      const wide = random(46, 100);
      houses.push({ x: x, wide: wide, high: random(120, 330) * (1.15 - row * 0.22), row: row, seed: random(1000) });
      x += wide + random(2, 10);
    }
  }
  for (let i = 0; i < DROPS; i++) {
    drops.push({ x: random(width * 1.2), y: random(height), speed: random(6, 15) });
  }
}

function house(one) {
  const dark = lerpColor(color(SKY[2]), color("#14141f"), (one.row + 1) / (ROWS + 0.4));
  const top = height - one.high;
  noStroke();
  fill(dark);
  rect(one.x, top, one.wide, one.high);
  for (let x = 8; x < one.wide - 12; x += 16) {
    for (let y = 12; y < one.high - 16; y += 22) {
      const lit = noise(one.seed + x, y, floor(frameCount / 40) * 0.3);
      if (lit > 0.53) {
        fill(PALETTE[floor(lit * 40) % PALETTE.length]);
        rect(one.x + x, top + y, 8, 12);
      }
    }
  }
}

function draw() {
  for (let y = 0; y < height; y += 4) {
    noStroke();
    fill(lerpColor(color(SKY[0]), color(SKY[2]), y / height));
    rect(0, y, width, 5);
  }
  for (const one of houses) {
    house(one);
  }
  stroke(220, 230, 255, 110);
  strokeWeight(1.4);
  for (const drop of drops) {
    line(drop.x, drop.y, drop.x - 3, drop.y + drop.speed * 1.6);
    drop.y += drop.speed * SPEED;
    drop.x -= 1.2 * SPEED;
    if (drop.y > height || drop.x < 0) {
      drop.y = -20;
      drop.x = random(width * 1.2);
    }
  }
}
