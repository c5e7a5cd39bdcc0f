// Circle, square, triangle on a grid; each tile turns by a quarter when its time has come.
const SEED = $seed;
const INKS = $accents;
const PAPER = "$paper";
const CELLS = $layers;
const SPEED = $speed;

let tiles = [];

function setup() {
  createCanvas(640, 640);
  randomSeed(SEED);
  for (let row = 0; row < CELLS; row++) {
    for (let column = 0; column < CELLS; column++) {
      tiles.push({
        row: row,
        column: column,
        form: floor(random(5)),
        first: INKS[floor(random(INKS.length))],
        second: INKS[floor(random(INKS.length))],
        quarter: floor(random(4)),
        wait: floor(random(240))
      });
    }
  }
}

function form(kind, side) {
  if (kind === 0) {
    arc(-side / 2, -side / 2, side * 2, side * 2, 0, HALF_PI);
  } else if (kind === 1) {
    circle(0, 0, side * 0.86);
  } else if (kind === 2) {
    triangle(-side / 2, side / 2, side / 2, side / 2, -side / 2, -side / 2);
  } else if (kind === 3) {
    rect(-side / 2, -side / 2, side / 2, side);
  } else {
    for (let bar = 0; bar < 4; bar++) {
      rect(-side / 2, -side / 2 + (bar * side) / 4, side, side / 8);
    }
  }
}

function draw() {
  background(PAPER);
  const margin = 30;
  const side = (width - margin * 2) / CELLS;
  for (const tile of tiles) {
    const time = (frameCount * SPEED + tile.wait) % 240;
    const turning = time < 30 ? (1 - cos((time / 30) * PI)) / 2 : 1;
    const turned = tile.quarter + floor((frameCount * SPEED + tile.wait) / 240);
    push();
    translate(margin + (tile.column + 0.5) * side, margin + (tile.row + 0.5) * side);
    rotate((turned + turning) * HALF_PI);
    noStroke();
    fill(tile.first);
    form(tile.form, side);
    fill(tile.second);
    if (tile.form < 2) {
      circle(0, 0, side * 0.3);
    }
    pop();
  }
}
