// Loops of different lengths: tones that drift past each other, slowly, without a beat.
const NOTES = $scale_notes;
const LENGTHS = $lengths;
const AIR = $air;

const room = new Tone.Reverb({ decay: 8, wet: 0.6 }).toDestination();
const wave = new Tone.AutoFilter({ frequency: 0.08, baseFrequency: 200, octaves: 3 }).connect(room).start();
const bells = new Tone.PolySynth(Tone.$lead, {
  volume: -18,
  envelope: { attack: 0.02, decay: 1.2, sustain: 0.1, release: 4 }
}).connect(room);
const floor = new Tone.PolySynth(Tone.$pad, {
  volume: -22,
  envelope: { attack: 2, decay: 1, sustain: 0.7, release: 5 }
}).connect(wave);
const wind = new Tone.Noise({ type: "pink", volume: AIR });
wind.connect(wave);

LENGTHS.forEach((length, i) => {
  new Tone.Loop((time) => {
    bells.triggerAttackRelease(NOTES[(i * 2) % NOTES.length], 2, time, 0.35);
  }, length).start(0.3 * i);
});

new Tone.Loop((time) => {
  floor.triggerAttackRelease([NOTES[0], NOTES[2], NOTES[4]], 9, time, 0.4);
}, 11).start(0);

async function play() {
  await Tone.start();
  await room.ready;
  wind.start();
  Tone.Transport.start("+0.1");
}

play();
