"""Words to make sentences of: everyday ones, with every sound of their language, and lips that have much to do."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, tuple[str, ...]] = {
    "en": tuple(
        """
        a about again all always amber and apple arm baby back bathroom be beach before big bird blue boat book both
        bottle bread bridge brother brown bubble by camera cheap cheese child church city climb close coffee cold
        come could day deep dinner do door down dream drum each early earth eight evening every eye family farm
        father feather few field fire five flower food for four fox friend from fruit garden girl give go good green
        guitar half happy have he her high home hour house how hungry if in is island it join joy jump key king
        kitchen lamp language laugh leaf leave letter light little long look loud lunch machine make many map maybe
        measure memory mine mirror moment monkey month moon more morning mother mountain mouse move much music my
        name near never new night no noise north not now ocean of off often old on one open orange our out over paint
        paper park people perhaps phone piano picture plum point pool possible power pretty put purple quick quiet
        rabbit rain read red remember rice ring river road room round say school sea seven she sheep shirt shoe shop
        show sing sister sky sleep slow small smoke snow so some song soon south spoon spring stone story stream
        street strong sugar summer sun table take tall teeth television thank the them there these they thin thing
        think this three thumb time to today together tomorrow town toy tree true turn two umbrella under usual
        valley vegetable very view village visit voice wait walk warm was wash water we weather week what wheel when
        where white who why wide wind window winter wish with woman wonder wood word work world would yellow yes
        yesterday you young zero zoo
        """.split()
    ),
    "de": tuple(
        """
        aber acht alle alt am Abend Apfel Arm auf Auge aus Baby Bach backen bald Ball Baum bei beide beim Berg Bild
        bitte blau bleiben Blume Boot braun breit Brief Bruder Brücke bunt Butter da danke dann das dein denken der
        deutsch die doch Dorf dort drei du dunkel durch eben Ecke Ei ein einfach einmal Eis Eltern er Erde es etwas
        euer Fahrrad fallen Familie Farbe Feder Feld Fenster Feuer finden Fisch Fluss fragen Freund früh Frühling
        fünf für Fuß ganz Garage Garten geben gehen gelb genug gern gestern glücklich Gras groß grün gut haben Hafen
        halb Hand Haus heiß helfen Herbst Herr heute hier Himmel hoch hören Hund hungrig ich ihr immer Insel ja Jahr
        jeder jemand jetzt jung Junge Kaffee kalt kaufen Kind Kirche klein kommen König können Kopf Kuchen kühl kurz
        lachen Lampe lang langsam laufen laut leben leicht lesen Leute Licht lieb Löffel Luft machen Mädchen Mai
        manchmal Mann Maus Meer mehr Milch mit Mittag möchte Mond morgen müde Musik Mutter nach Nacht nah Name neben
        nehmen nein neu neun nicht Nord nur oben Obst oder offen oft Ohr Ort Papier Park Pferd Pfirsich Pflaume
        Platz prima pünktlich Rad Regen reich Reise richtig Ring rot rufen ruhig rund sagen Salz Sand Schaf schauen
        Schiff schlafen schnell schön schreiben Schuh Schule schwarz Schwester sechs See sehr sein Seite sie sieben
        singen so Sohn Sommer Sonne spät spielen Sprache springen Stadt Stein Stern still Straße Stück Stunde süß Tag
        Tante Tasche tausend Tee Tisch Tochter Topf tragen Traum trinken Tür üben über Uhr um und unser unter Vater
        viel vier Vogel voll vom von vor Wald wandern warm warten warum was Wasser Weg weich weil weiß weit Welt
        wenig wer Wetter wie wieder Wiese Wind Winter wir wissen wo Woche wohnen Wolke Wort wunderbar Zahl zehn Zeit
        Zimmer zu Zucker zuerst zusammen zwei zwischen zwölf
        """.split()
    ),
}
